"""Makes the users that kafkajs's suite expects. Its brokers let everybody do everything that no rule says
anything about; here a rule has to allow it. usage: users.py host:port"""

import sys

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

PASSWORDS = {
    "testscram": {
        ScramMechanism.SCRAM_SHA_256: "testtestscram=256",
        ScramMechanism.SCRAM_SHA_512: "testtestscram=512",
    },
    "bob": {ScramMechanism.SCRAM_SHA_256: "bobbob"},
    "alice": {ScramMechanism.SCRAM_SHA_256: "alicealice"},
}

admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
admin.alter_user_scram_credentials(
    [
        UserScramCredentialUpsertion(name, mechanism, password)
        for name, passwords in PASSWORDS.items()
        for mechanism, password in passwords.items()
    ]
)
kinds = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
admin.create_acls(
    [
        ACL(f"User:{name}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, ResourcePattern(kind, "*"))
        for name in PASSWORDS
        for kind in kinds
    ]
)
admin.close()
