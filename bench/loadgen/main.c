#include "admin.h"
#include "engine.h"
#include "options.h"
#include <stdio.h>
#include <sys/resource.h>

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
  options_parse(argc, argv);
  raise_descriptor_limit();
  if (opt.probe) {
    admin_probe();
    return 0;
  }
  if (opt.count) {
    admin_count();
    return 0;
  }
  if (opt.idle) admin_idle();
  else if (opt.declare_queues) admin_declare_queues();
  if (opt.idle || opt.declare_queues) return 0;
  if (opt.declare) admin_declare();
  if (opt.producers || opt.consumers) engine_run();
  if (opt.delete_after) admin_delete();
  return run.complete || !(opt.producers || opt.consumers) ? 0 : 4;
}
