/*
 * Between the addon and the kernel (LD_PRELOAD): answers as kernels and routes do that are not here. FAKE names which.
 * Tests of test/node/native-system.test.ts compile it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fake(const char *name) {
  const char *wanted = getenv("FAKE");
  return wanted != NULL && strcmp(wanted, name) == 0;
}

static int fail(int number) {
  errno = number;
  return -1;
}

/* Every second call. */
static int interrupted(void) {
  static unsigned calls;
  return fake("interrupted") && calls++ % 2 == 0;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  static unsigned calls;
  if (fake("no-mmsg")) return fail(ENOSYS);
  if (interrupted()) return fail(EINTR);
  /* Some, and the rest must be asked for again. */
  if (fake("few")) count = (count + 2) / 3;
  /* A route with IPsec takes no runs. */
  if (fake("no-runs")) {
    for (unsigned i = 0; i < count; i++) {
      if (messages[i].msg_hdr.msg_controllen == 0) continue;
      if (i == 0) return fail(EIO);
      count = i;
    }
  }
  /* The kernel forgets an error that it met behind the first message; the first one's it tells. */
  if (fake("full") || fake("refused")) {
    count = 1;
    if (calls++ % 3 == 1) return fail(fake("full") ? EAGAIN : ECONNREFUSED);
  }
  /* Told again and again. */
  if (fake("refused-always")) return fail(ECONNREFUSED);
  if (fake("forbidden")) return fail(EPERM);
  return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  if (fake("no-mmsg")) return fail(ENOSYS);
  if (interrupted()) return fail(EINTR);
  if (fake("few")) count = 2;
  return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}
