import os
import signal
import subprocess
import sys
import uuid

os.environ["ORDERS_QUEUE"] = "orders." + uuid.uuid4().hex
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples", "orders")
worker = subprocess.Popen(
    [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "threads", "--concurrency", "2",
     "--loglevel", "WARNING", "-n", f"{uuid.uuid4().hex}@polymq"], cwd=here)
try:
    shop = subprocess.run([sys.executable, "shop.py", "20"], cwd=here, timeout=120, capture_output=True, text=True)
    good = shop.returncode == 0 and shop.stdout.count("on their way") == 20
    print(f"{'ok' if good else 'not ok'} - 20 orders sent by stomp.py are worked by celery, which answers each")
    if not good:
        print(shop.stdout, shop.stderr)
finally:
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(60)
print(f"{'ok' if code == 0 else 'not ok'} - the worker stops when asked (exit {code})")
sys.exit(0 if good and code == 0 else 1)
