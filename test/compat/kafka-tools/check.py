"""Compares what Kafka's tools said against PolyMQ with what they said against Kafka.

check.py compare RECORDED SAID    one line of TAP for each command line
check.py record RECORDED SAID     SAID was against Kafka: prints RECORDED anew, with the differences that it has
check.py accept RECORDED SAID     SAID was against PolyMQ: prints RECORDED with all that differs as differences

RECORDED: "> command line", what it says, "= status"; then, where PolyMQ differs, "~ why", what it says, "= status".
"""

import re
import sys

NOISE = re.compile(r"\s+at |\s*$|Caused by|\s+\.\.\. ")
CHANGING = [
    (r"(TopicId: |Epoch: |Cluster ID: |\"logDir\":)[^\s,}]+", r"\1#"),
    (r"127\.0\.0\.1[: ]\d+", "BROKER"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"(console-consumer-|console-share-consumer-)\d+", r"\1#"),
    (r"\[[A-Z_]+(, [A-Z_]+)+\]", "[...]"),
    (r"^(g\w* .*)\b[\w-]{22}( /127)", r"\1MEMBER\2"),
    (r"^(g\w* )[\w-]{22} ", r"\1MEMBER "),
    (r"\b1[5-9]\d{11}\b", "TIME"),
    (r"\"size\":\d+", '"size":#'),
]


def normal(lines):
    """Lines in any order, without stack traces, help texts, and what is another each time."""
    kept = []
    for line in lines:
        if NOISE.match(line):
            continue
        line = re.sub(r"\s+", " ", line).strip()
        for pattern, replacement in CHANGING:
            line = re.sub(pattern, replacement, line)
        if line.startswith(("Option ", "usage:")):
            kept = kept[:1] + ["(usage)"]
            break
        kept.append(line)
    return sorted(kept)


def read(path):
    """[command, [lines, status], [why, lines, status] or None] each."""
    blocks = []
    for line in open(path, encoding="utf8", errors="replace"):
        line = line.rstrip("\n")
        if line.startswith("> "):
            blocks.append([line[2:], [[], None], None])
        elif not blocks:
            continue
        elif line.startswith("~ "):
            blocks[-1][2] = [line[2:], [], None]
        elif line.startswith("= "):
            (blocks[-1][2] or blocks[-1][1])[-1] = line[2:]
        else:
            (blocks[-1][2] or blocks[-1][1])[-2].append(line)
    for block in blocks:
        block[1][0] = normal(block[1][0])
        if block[2]:
            block[2][1] = normal(block[2][1])
    return blocks


def write(blocks):
    for command, (lines, status), other in blocks:
        print(f"> {command}")
        for line in lines:
            print(line)
        if not command.startswith("@"):
            print(f"= {status}")
        if other:
            print(f"~ {other[0]}")
            for line in other[1]:
                print(line)
            print(f"= {other[2]}")


def main(mode, recorded_path, said_path):
    recorded, said = read(recorded_path), read(said_path)
    if mode == "record":
        for old, new in zip(recorded, said):
            old[1] = new[1]
        write(recorded)
        return 0
    failed = max(0, len(recorded) - len(said))
    for index, (block, (command, found, _)) in enumerate(zip(recorded, said), 1):
        expected = [list(block[2][1:])] if block[2] else [block[1]]
        if mode == "accept" and found != block[1]:
            block[2] = [block[2][0] if block[2] else "?", *found]
        elif mode == "compare" and found not in expected:
            failed += 1
            print(f"not ok {index} {command}")
            for line in found[0] + [f"= {found[1]}"]:
                print(f"#   found    {line}")
            for line in expected[0][0] + [f"= {expected[0][1]}"]:
                print(f"#   expected {line}")
        elif mode == "compare":
            print(f"ok {index} {command}")
    if mode == "accept":
        write(recorded)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
