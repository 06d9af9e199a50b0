// What happens around a run, on a control connection of its own: queues, exchange, counts, and the
// two modes that only hold state in the broker (idle connections, many queues).
#pragma once

void admin_declare(void);
void admin_delete(void);
void admin_count(void);
void admin_probe(void);
void admin_idle(void);
void admin_declare_queues(void);
void queue_name(char *into, int index); // into[64]
void exchange_name(char *into);         // into[64]; empty unless --fanout
