import { describe, expect, it } from "vitest";
import { KafkaError } from "../errors.ts";
import { type Acl, aclOf, filterOf, ruleOf } from "./acls.ts";

const TOPIC = 2;
const READ = 3;
const acl: Acl = {
  resourceType: TOPIC,
  resourceName: "orders",
  patternType: 3,
  principal: "User:ann",
  host: "*",
  operation: READ,
  permissionType: 3,
};

describe("an entry", () => {
  it("is a rule, and the rule is the entry", () => {
    expect(ruleOf(acl)).toEqual({
      user: "ann",
      address: "*",
      resource: "stream",
      name: "orders",
      prefix: false,
      operation: "read",
      effect: "allow",
    });
    const others: Partial<Acl>[] = [
      {},
      { patternType: 4, permissionType: 2, host: "10.0.0.1", operation: 2 },
      { resourceType: 3, resourceName: "group" },
      { resourceType: 4, resourceName: "kafka-cluster", operation: 7 },
      { resourceType: 5, operation: 4 },
      { principal: "User:*", resourceName: "*" },
      { principal: "User:a:b,c" },
    ];
    for (const more of others) expect(aclOf(ruleOf({ ...acl, ...more }))).toEqual({ ...acl, ...more });
  });

  it.each([
    ["a delegation token", { resourceType: 6 }],
    ["any resource", { resourceType: 1 }],
    ["any operation", { operation: 1 }],
    ["an operation that it has not", { resourceType: 3, operation: 4 }],
    ["any permission", { permissionType: 1 }],
    ["a matching pattern", { patternType: 2 }],
    ["another cluster", { resourceType: 4, resourceName: "other", operation: 7 }],
    ["somebody who is no user", { principal: "Group:ann" }],
  ])("for %s is refused", (_, wrong) => {
    expect(() => ruleOf({ ...acl, ...wrong })).toThrow(KafkaError);
  });
});

describe("a filter", () => {
  const any = {
    resourceTypeFilter: 1,
    resourceNameFilter: null,
    patternTypeFilter: 1,
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  };

  it("for anything finds everything", () => expect(filterOf(any)).toEqual({}));

  it("has what is asked", () => {
    expect(
      filterOf({
        resourceTypeFilter: TOPIC,
        resourceNameFilter: "orders",
        patternTypeFilter: 2,
        principalFilter: "User:ann",
        hostFilter: "*",
        operation: READ,
        permissionType: 2,
      }),
    ).toEqual({
      resource: "stream",
      name: "orders",
      pattern: "match",
      user: "ann",
      address: "*",
      operation: "read",
      effect: "deny",
    });
  });

  it("for what there is not finds nothing", () => {
    expect(filterOf({ ...any, resourceTypeFilter: 6 })).toBeNull();
    expect(filterOf({ ...any, principalFilter: "Group:x" })).toBeNull();
    expect(filterOf({ ...any, operation: 13 })).toBeNull();
  });

  it("that is no filter is refused", () => {
    expect(() => filterOf({ ...any, patternTypeFilter: 0 })).toThrow(KafkaError);
    expect(() => filterOf({ ...any, permissionType: 0 })).toThrow(KafkaError);
  });
});
