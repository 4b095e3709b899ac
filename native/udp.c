/*
 * UDP in batches for Node on Linux: one system call, and one call into JavaScript, for many datagrams.
 *
 *   out   JavaScript writes datagrams one behind another into `sendBytes` and describes runs of equal-sized ones to one
 *         peer in `sendTable`; `commit(runs)` hands all of them to sendmmsg, a run as one message with UDP_SEGMENT.
 *   in    recvmmsg fills `recvBytes`, with UDP_GRO several equal-sized datagrams of one peer as one message; `onBatch`
 *         is told how many messages `recvTable` describes.
 *
 * The four buffers belong to the thread and are shared by its sockets: whoever fills them is done with them before it
 * returns to the event loop. JavaScript's engine owns them. The loader marks them as not to be transferred; where that is
 * done all the same they are gone, so each use asks first. Nothing in the tables is believed: every offset and length is
 * checked.
 *
 * What the kernel does not have is dropped feature by feature: GSO, GRO, then the calls for many messages.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MAX_PACING_RATE
#define SO_MAX_PACING_RATE 47
#endif

/* Of what JavaScript sees here; the loader refuses any other. */
#define INTERFACE_VERSION 1
/* Largest UDP payload over IPv4, and what one UDP_SEGMENT message may hold in total. */
#define MAX_DATAGRAM 65507
/* The kernel's UDP_MAX_SEGMENTS before Linux 6.9; later ones take 128. */
#define MAX_SEGMENTS 64
/* Fits the L2 cache of today's servers (1 MiB and more) beside what else is touched. */
#define SEND_BYTES (256 * 1024)
#define SEND_RUNS 256
#define RECV_MESSAGES 64
/* 64 KiB for the largest GRO message, and some lines more, so that slots do not all fall on the same cache sets. */
#define RECV_STRIDE (64 * 1024 + 320)
#define RECV_BYTES (RECV_MESSAGES * RECV_STRIDE)
/* recvmmsg calls for one readable event; the event loop's others have their turn then. */
#define RECV_ROUNDS 4

/* Words of a table's row. */
enum { OFFSET, BYTES, SEGMENT, PORT, ADDRESS, SCOPE = ADDRESS + 4, RESULT, ROW };
/* RESULT of a run. */
enum { SENT = 0, LOST = 1, SPLIT = 2 };
/* Added to what `commit` returns. */
#define ANY_SPLIT 0x10000

enum { FEATURE_GSO = 1, FEATURE_GRO = 2, FEATURE_MMSG = 4 };
enum { REUSE_ADDR = 1, REUSE_PORT = 2, V6_ONLY = 4 };

/* An ArrayBuffer of the thread. Its bytes may be touched only where `attached` says so. */
typedef struct {
  napi_ref buffer;
  void *bytes;
} Shared;

typedef struct {
  Shared send_bytes, send_table, recv_bytes, recv_table;
  /* Those that are open. */
  struct Socket *sockets;
} Addon;

typedef struct Socket {
  struct Socket *next;
  napi_env env;
  Addon *addon;
  uv_poll_t poll;
  int fd;
  int family;
  bool connected;
  bool started;
  bool closed;
  bool wrapped;
  /* ECONNREFUSED was told during this commit. */
  bool refused;
  int features;
  napi_ref self;
  napi_ref on_batch;
  napi_ref on_error;
  napi_ref on_close;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  /* Counters: what the callers of the kernel want to know. */
  double calls_out, messages_out, datagrams_out, calls_in, messages_in;
  double lost_full, lost_other, truncated, gso_refused;
} Socket;

static const char DETACHED[] = "a buffer of the addon was transferred";

static const napi_type_tag socket_tag = {0x6b63702d696f2d75, 0x64702d736f636b65};

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* Throws an Error with the system's `code`, `errno` and `syscall`, as Node's own. Returns NULL. */
static napi_value throw_system(napi_env env, int number, const char *syscall) {
  char text[160];
  const char *name = uv_err_name(-number);
  snprintf(text, sizeof text, "%s %s", syscall, name);
  napi_value code, message, error, value;
  if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code) != napi_ok ||
      napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) != napi_ok ||
      napi_create_error(env, code, message, &error) != napi_ok) {
    return NULL;
  }
  if (napi_create_int32(env, -number, &value) == napi_ok) napi_set_named_property(env, error, "errno", value);
  if (napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &value) == napi_ok) {
    napi_set_named_property(env, error, "syscall", value);
  }
  napi_throw(env, error);
  return NULL;
}

static napi_value throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return NULL;
}

/* ---- buffers ------------------------------------------------------------------------------------------------ */

/* Needs a handle scope. What is true stays true until JavaScript runs. */
static bool attached(napi_env env, const Shared *shared) {
  napi_value buffer;
  bool detached = true;
  return napi_get_reference_value(env, shared->buffer, &buffer) == napi_ok && buffer != NULL &&
         napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && !detached;
}

static int32_t *row_of(const Shared *table, int32_t index) { return (int32_t *)table->bytes + index * ROW; }

/* ---- arguments ---------------------------------------------------------------------------------------------- */

/* Reads `count` arguments; missing ones are undefined. NULL with an exception when `this` is no socket of ours. */
static Socket *receiver(napi_env env, napi_callback_info info, size_t count, napi_value *args, bool open) {
  napi_value self;
  bool ours = false;
  Socket *socket = NULL;
  if (napi_get_cb_info(env, info, &count, args, &self, NULL) != napi_ok) return NULL;
  if (napi_check_object_type_tag(env, self, &socket_tag, &ours) != napi_ok || !ours ||
      napi_unwrap(env, self, (void **)&socket) != napi_ok || socket == NULL) {
    return (Socket *)throw_type(env, "not a socket of this addon");
  }
  if (open && socket->closed) return (Socket *)throw_system(env, EBADF, "socket");
  return socket;
}

static bool int_of(napi_env env, napi_value value, int32_t low, int32_t high, const char *what, int32_t *out) {
  napi_valuetype type;
  double number;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_number &&
      napi_get_value_double(env, value, &number) == napi_ok && number >= low && number <= high &&
      number == (double)(int32_t)number) {
    *out = (int32_t)number;
    return true;
  }
  throw_type(env, what);
  return false;
}

/* 4 or 6, as the system's name. */
static bool family_of(napi_env env, napi_value value, int *out) {
  static const char what[] = "family must be 4 or 6";
  int32_t number;
  if (!int_of(env, value, 4, 6, what, &number)) return false;
  if (number == 5) {
    throw_type(env, what);
    return false;
  }
  *out = number == 6 ? AF_INET6 : AF_INET;
  return true;
}

static bool is_function(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_function;
}

/* Parses a literal address (with a zone for IPv6) and a port. */
static bool address_of(napi_env env, int family, napi_value host, napi_value port, struct sockaddr_storage *out) {
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
  size_t length = 0;
  int32_t number;
  napi_valuetype type;
  if (!int_of(env, port, 0, 65535, "port must be a whole number within 0..65535", &number)) return false;
  if (napi_typeof(env, host, &type) != napi_ok || type != napi_string ||
      napi_get_value_string_utf8(env, host, text, sizeof text, &length) != napi_ok) {
    throw_type(env, "address must be a string");
    return false;
  }
  memset(out, 0, sizeof *out);
  /* What follows a NUL, or the end of `text`, would not be looked at. */
  bool whole = strlen(text) == length && length < sizeof text - 1;
  int failed = !whole ? UV_EINVAL
               : family == AF_INET6 ? uv_ip6_addr(text, number, (struct sockaddr_in6 *)out)
                                    : uv_ip4_addr(text, number, (struct sockaddr_in *)out);
  if (failed != 0) {
    throw_system(env, -failed, "address");
    return false;
  }
  return true;
}

static socklen_t size_of(int family) {
  return family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* ---- addresses in tables ------------------------------------------------------------------------------------ */

static void put_address(int32_t *row, const struct sockaddr_storage *from, int family) {
  memset(row + PORT, 0, (RESULT - PORT) * sizeof *row);
  if (family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    row[PORT] = ntohs(six->sin6_port);
    memcpy(row + ADDRESS, &six->sin6_addr, 16);
    row[SCOPE] = (int32_t)six->sin6_scope_id;
  } else {
    const struct sockaddr_in *four = (const struct sockaddr_in *)from;
    row[PORT] = ntohs(four->sin_port);
    memcpy(row + ADDRESS, &four->sin_addr, 4);
  }
}

static void get_address(const int32_t *row, int family, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  if (family == AF_INET6) {
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)row[PORT]);
    memcpy(&six->sin6_addr, row + ADDRESS, 16);
    six->sin6_scope_id = (uint32_t)row[SCOPE];
  } else {
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)row[PORT]);
    memcpy(&four->sin_addr, row + ADDRESS, 4);
  }
}

/* An address as [text, port, family]; a link-local one with its zone. */
static napi_value address_value(napi_env env, const struct sockaddr_storage *from) {
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 2] = "";
  napi_value result, value;
  int port;
  if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    uv_ip6_name(six, text, INET6_ADDRSTRLEN);
    port = ntohs(six->sin6_port);
    if (six->sin6_scope_id != 0) {
      size_t at = strlen(text);
      char name[IF_NAMESIZE];
      if (if_indextoname(six->sin6_scope_id, name) != NULL) snprintf(text + at, sizeof text - at, "%%%s", name);
      else snprintf(text + at, sizeof text - at, "%%%u", six->sin6_scope_id);
    }
  } else {
    const struct sockaddr_in *four = (const struct sockaddr_in *)from;
    uv_ip4_name(four, text, INET6_ADDRSTRLEN);
    port = ntohs(four->sin_port);
  }
  if (napi_create_array_with_length(env, 3, &result) != napi_ok) return NULL;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok) napi_set_element(env, result, 0, value);
  if (napi_create_int32(env, port, &value) == napi_ok) napi_set_element(env, result, 1, value);
  if (napi_create_int32(env, from->ss_family == AF_INET6 ? 6 : 4, &value) == napi_ok) {
    napi_set_element(env, result, 2, value);
  }
  return result;
}

/* ---- sending ------------------------------------------------------------------------------------------------ */

typedef struct {
  struct msghdr header;
  struct iovec part;
  struct sockaddr_storage to;
  union {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
  } control;
} Outgoing;

/* Whether a row lies within the buffer and is something that may be sent. */
static bool valid_run(const int32_t *row) {
  int32_t offset = row[OFFSET], bytes = row[BYTES], segment = row[SEGMENT];
  return offset >= 0 && bytes > 0 && bytes <= MAX_DATAGRAM && offset <= SEND_BYTES - bytes && segment > 0 &&
         segment <= bytes && (bytes + segment - 1) / segment <= MAX_SEGMENTS;
}

static int segments_of(const int32_t *row) { return (row[BYTES] + row[SEGMENT] - 1) / row[SEGMENT]; }

static void describe(Socket *socket, int32_t *row, Outgoing *out) {
  struct msghdr *header = &out->header;
  memset(header, 0, sizeof *header);
  out->part.iov_base = (uint8_t *)socket->addon->send_bytes.bytes + row[OFFSET];
  out->part.iov_len = (size_t)row[BYTES];
  header->msg_iov = &out->part;
  header->msg_iovlen = 1;
  if (!socket->connected) {
    get_address(row, socket->family, &out->to);
    header->msg_name = &out->to;
    header->msg_namelen = size_of(socket->family);
  }
  if (row[BYTES] > row[SEGMENT]) {
    uint16_t size = (uint16_t)row[SEGMENT];
    memset(&out->control, 0, sizeof out->control);
    header->msg_control = out->control.bytes;
    header->msg_controllen = sizeof out->control.bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(control), &size, sizeof size);
  }
}

/*
 * sendmmsg, or sendmsg where a system lacks it. Returns how many were sent, or -1 with errno for the first. ECONNREFUSED
 * is the answer to something sent before, told once to whichever call comes next: it is noted, and what was not even
 * tried goes out again.
 */
static int transmit(Socket *socket, struct mmsghdr *messages, unsigned count) {
  bool told = false;
  for (;;) {
    socket->calls_out++;
    int sent = socket->features & FEATURE_MMSG ? sendmmsg(socket->fd, messages, count, MSG_DONTWAIT)
               : sendmsg(socket->fd, &messages[0].msg_hdr, MSG_DONTWAIT) < 0 ? -1
                                                                               : 1;
    if (sent >= 0) return sent;
    if (errno == ENOSYS && (socket->features & FEATURE_MMSG)) socket->features &= ~FEATURE_MMSG;
    else if (errno == ECONNREFUSED && !told) socket->refused = told = true;
    else if (errno != EINTR) return -1;
  }
}

static void lose(Socket *socket, int error, int datagrams) {
  if (error == EAGAIN || error == ENOBUFS) socket->lost_full += datagrams;
  else socket->lost_other += datagrams;
}

/* Sends one run datagram by datagram. Returns the error of the last one that failed, or 0. */
static int transmit_split(Socket *socket, int32_t *row) {
  int failed = 0;
  const int32_t end = row[OFFSET] + row[BYTES];
  for (int32_t at = row[OFFSET]; at < end; at += row[SEGMENT]) {
    int32_t one[ROW];
    Outgoing out;
    struct mmsghdr message;
    memcpy(one, row, sizeof one);
    one[OFFSET] = at;
    one[BYTES] = one[SEGMENT] = end - at < row[SEGMENT] ? end - at : row[SEGMENT];
    describe(socket, one, &out);
    message.msg_hdr = out.header;
    if (transmit(socket, &message, 1) == 1) {
      socket->messages_out++;
      socket->datagrams_out++;
    } else {
      failed = errno;
      lose(socket, failed, 1);
    }
  }
  return failed;
}

/*
 * commit(runs): sends the first `runs` rows of the table. Returns ECONNREFUSED if that was told, else the errno of the
 * latest failure or 0, plus ANY_SPLIT when a run had to be split; each row's RESULT says what became of it. A full
 * buffer (EAGAIN, ENOBUFS) and any other refusal is loss, and counted.
 */
static napi_value commit(napi_env env, napi_callback_info info) {
  static _Thread_local Outgoing outgoing[SEND_RUNS];
  static _Thread_local struct mmsghdr messages[SEND_RUNS];
  napi_value args[1], result;
  int32_t runs;
  Socket *socket = receiver(env, info, 1, args, true);
  if (socket == NULL || !int_of(env, args[0], 0, SEND_RUNS, "runs must be a whole number within 0..256", &runs)) {
    return NULL;
  }
  const Shared *table = &socket->addon->send_table;
  if (!attached(env, table) || !attached(env, &socket->addon->send_bytes)) return throw_type(env, DETACHED);
  for (int32_t i = 0; i < runs; i++) {
    int32_t *row = row_of(table, i);
    if (!valid_run(row)) return throw_type(env, "a run lies outside the buffer");
    row[RESULT] = SENT;
    describe(socket, row, &outgoing[i]);
    messages[i].msg_hdr = outgoing[i].header;
  }
  int failed = 0, split = 0;
  socket->refused = false;
  for (int32_t at = 0; at < runs;) {
    int32_t *row = row_of(table, at);
    if (row[BYTES] > row[SEGMENT] && !(socket->features & FEATURE_GSO)) {
      int error = transmit_split(socket, row);
      if (error != 0) failed = error;
      at++;
      continue;
    }
    /* As far as no run has to be split. */
    int32_t until = at + 1;
    if (socket->features & FEATURE_GSO) until = runs;
    else while (until < runs && segments_of(row_of(table, until)) == 1) until++;
    int sent = transmit(socket, messages + at, (unsigned)(until - at));
    if (sent > 0) {
      socket->messages_out += sent;
      for (int i = 0; i < sent; i++) socket->datagrams_out += segments_of(row_of(table, at + i));
      at += sent;
      continue;
    }
    int error = errno;
    if ((error == EIO || error == EINVAL || error == EMSGSIZE) && row[BYTES] > row[SEGMENT]) {
      /*
       * EIO: the route cannot do it. EINVAL, and EMSGSIZE since Linux 6.14: these segments are too large for the route;
       * smaller ones may pass.
       */
      if (error == EIO) socket->features &= ~FEATURE_GSO;
      socket->gso_refused++;
      row[RESULT] = SPLIT;
      split = ANY_SPLIT;
      error = transmit_split(socket, row);
      if (error != 0) failed = error;
      at++;
      continue;
    }
    failed = error;
    row[RESULT] = LOST;
    lose(socket, error, segments_of(row));
    at++;
  }
  if (socket->refused) failed = ECONNREFUSED;
  return napi_create_int32(env, failed | split, &result) == napi_ok ? result : NULL;
}

/* ---- receiving ---------------------------------------------------------------------------------------------- */

typedef struct {
  struct iovec part;
  struct sockaddr_storage from;
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
} Incoming;

static int segment_size(struct msghdr *header, int bytes) {
  for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
    if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(control), sizeof size);
      if (size > 0 && size < bytes) return size;
    }
  }
  return bytes;
}

/* Calls one of the socket's functions; what it throws becomes an uncaught exception. */
static void call(Socket *socket, napi_ref function, size_t argc, int32_t number) {
  napi_env env = socket->env;
  napi_handle_scope scope;
  napi_value self, callback, args[1], result, error;
  bool thrown = false;
  if (function == NULL || napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, socket->self, &self) == napi_ok && self != NULL &&
      napi_get_reference_value(env, function, &callback) == napi_ok && callback != NULL &&
      napi_create_int32(env, number, &args[0]) == napi_ok) {
    napi_make_callback(env, socket->context, self, callback, argc, args, &result);
    if (napi_is_exception_pending(env, &thrown) == napi_ok && thrown &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok) {
      napi_fatal_exception(env, error);
    }
  }
  napi_close_handle_scope(env, scope);
}

static bool can_receive(const Socket *socket) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(socket->env, &scope) != napi_ok) return false;
  bool can = attached(socket->env, &socket->addon->recv_bytes) && attached(socket->env, &socket->addon->recv_table);
  napi_close_handle_scope(socket->env, scope);
  return can;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  static _Thread_local Incoming incoming[RECV_MESSAGES];
  static _Thread_local struct mmsghdr messages[RECV_MESSAGES];
  Socket *socket = poll->data;
  Addon *addon = socket->addon;
  /* libuv takes an ICMP error for the end of the descriptor and stops; recvmmsg below tells what it is. */
  if (status < 0) uv_poll_start(poll, UV_READABLE, on_readable);
  for (int round = 0; round < RECV_ROUNDS && !socket->closed; round++) {
    if (!can_receive(socket)) {
      /* There is nowhere to read to, ever again. */
      uv_poll_stop(poll);
      call(socket, socket->on_error, 1, EFAULT);
      return;
    }
    for (int i = 0; i < RECV_MESSAGES; i++) {
      struct msghdr *header = &messages[i].msg_hdr;
      incoming[i].part.iov_base = (uint8_t *)addon->recv_bytes.bytes + i * RECV_STRIDE;
      incoming[i].part.iov_len = 64 * 1024;
      memset(header, 0, sizeof *header);
      header->msg_name = &incoming[i].from;
      header->msg_namelen = sizeof incoming[i].from;
      header->msg_iov = &incoming[i].part;
      header->msg_iovlen = 1;
      header->msg_control = incoming[i].control.bytes;
      header->msg_controllen = sizeof incoming[i].control.bytes;
    }
    socket->calls_in++;
    int count;
    if (socket->features & FEATURE_MMSG) {
      count = recvmmsg(socket->fd, messages, RECV_MESSAGES, MSG_DONTWAIT, NULL);
    } else {
      ssize_t bytes = recvmsg(socket->fd, &messages[0].msg_hdr, MSG_DONTWAIT);
      count = bytes < 0 ? -1 : 1;
      if (bytes >= 0) messages[0].msg_len = (unsigned)bytes;
    }
    if (count < 0) {
      if (errno == ENOSYS && (socket->features & FEATURE_MMSG)) {
        socket->features &= ~FEATURE_MMSG;
        continue;
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      int error = errno;
      /* Nothing will ever be heard of this descriptor again. */
      bool dead = error == EBADF || error == ENOTSOCK;
      if (dead) uv_poll_stop(poll);
      call(socket, socket->on_error, 1, error);
      if (dead) return;
      continue;
    }
    int rows = 0;
    for (int i = 0; i < count; i++) {
      struct msghdr *header = &messages[i].msg_hdr;
      if (header->msg_flags & MSG_TRUNC) {
        socket->truncated++;
        continue;
      }
      int32_t *row = row_of(&addon->recv_table, rows++);
      row[OFFSET] = i * RECV_STRIDE;
      row[BYTES] = (int32_t)messages[i].msg_len;
      row[SEGMENT] = segment_size(header, row[BYTES]);
      put_address(row, &incoming[i].from, socket->family);
    }
    socket->messages_in += count;
    if (rows > 0) call(socket, socket->on_batch, 1, rows);
    if ((socket->features & FEATURE_MMSG) && count < RECV_MESSAGES) return;
  }
}

/* ---- life --------------------------------------------------------------------------------------------------- */

static void drop_ref(napi_env env, napi_ref *ref) {
  if (*ref != NULL) napi_delete_reference(env, *ref);
  *ref = NULL;
}

static void on_closed(uv_handle_t *handle) {
  Socket *socket = handle->data;
  napi_env env = socket->env;
  napi_handle_scope scope;
  close(socket->fd);
  socket->fd = -1;
  if (socket->on_close != NULL) call(socket, socket->on_close, 0, 0);
  if (napi_open_handle_scope(env, &scope) == napi_ok) {
    drop_ref(env, &socket->on_batch);
    drop_ref(env, &socket->on_error);
    drop_ref(env, &socket->on_close);
    if (socket->context != NULL) napi_async_destroy(env, socket->context);
    socket->context = NULL;
    napi_close_handle_scope(env, scope);
  }
  napi_async_cleanup_hook_handle cleanup = socket->cleanup;
  socket->cleanup = NULL;
  for (Socket **at = &socket->addon->sockets; *at != NULL; at = &(*at)->next) {
    if (*at == socket) {
      *at = socket->next;
      break;
    }
  }
  bool wrapped = socket->wrapped;
  /* From here on the wrapper may be collected, and the socket with it. */
  drop_ref(env, &socket->self);
  if (!wrapped) free(socket);
  if (cleanup != NULL) napi_remove_async_cleanup_hook(cleanup);
}

static void begin_close(Socket *socket) {
  if (socket->closed) return;
  socket->closed = true;
  uv_poll_stop(&socket->poll);
  uv_close((uv_handle_t *)&socket->poll, on_closed);
}

/* The thread ends with the socket open. */
static void on_thread_end(napi_async_cleanup_hook_handle handle, void *data) {
  Socket *socket = data;
  drop_ref(socket->env, &socket->on_close);
  begin_close(socket);
}

static void finalize(napi_env env, void *data, void *hint) {
  Socket *socket = data;
  /* Never opened; one that was open held its wrapper until it was closed. */
  if (socket->fd >= 0) close(socket->fd);
  free(socket);
}

static int set_int(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

/* The parameter of its callers hides socket(2). */
static int new_socket(int family) { return socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

/*
 * A new bound socket, or the descriptor `fd`, which is the caller's again if that fails. Returns 0 or an errno, and the
 * name of what failed.
 */
static int open_socket(Socket *socket, uv_loop_t *loop, int32_t fd, int32_t flags, const struct sockaddr_storage *at,
                       const char **what) {
  if (fd >= 0) {
    int type;
    socklen_t size = sizeof type;
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    *what = "fd";
    /* The event loop watches a descriptor once, and two would close it. */
    for (Socket *other = socket->addon->sockets; other != NULL; other = other->next) {
      if (other->fd == fd) return EEXIST;
    }
    *what = "getsockopt";
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) return errno;
    if (type != SOCK_DGRAM) return EINVAL;
    *what = "getsockname";
    if (getsockname(fd, (struct sockaddr *)&name, &length) < 0) return errno;
    if (name.ss_family != AF_INET && name.ss_family != AF_INET6) return EAFNOSUPPORT;
    *what = "fcntl";
    int status = fcntl(fd, F_GETFL);
    if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0) return errno;
    socket->family = name.ss_family;
    length = sizeof name;
    socket->connected = getpeername(fd, (struct sockaddr *)&name, &length) == 0;
    *what = "uv_poll_init";
    int failed = uv_poll_init(loop, &socket->poll, fd);
    if (failed == 0) socket->fd = fd;
    return -failed;
  }
  *what = "socket";
  socket->fd = new_socket(socket->family);
  if (socket->fd < 0) return errno;
  *what = "setsockopt";
  if ((flags & REUSE_ADDR) && set_int(socket->fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0) return errno;
  if ((flags & REUSE_PORT) && set_int(socket->fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0) return errno;
  if (socket->family == AF_INET6 && set_int(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & V6_ONLY) != 0) < 0) {
    return errno;
  }
  *what = "bind";
  if (bind(socket->fd, (const struct sockaddr *)at, size_of(socket->family)) < 0) return errno;
  *what = "uv_poll_init";
  return -uv_poll_init(loop, &socket->poll, socket->fd);
}

/*
 * new Socket(family, address, port, flags, fd, features): a bound socket; with fd >= 0 that descriptor, which is closed
 * with the socket.
 * `features` masks what may be used, so that every fallback can be tested on one kernel.
 */
static napi_value construct(napi_env env, napi_callback_info info) {
  napi_value args[6], self, target, name;
  size_t count = 6;
  int family;
  int32_t flags, fd, features;
  struct sockaddr_storage at;
  uv_loop_t *loop;
  Addon *addon;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == NULL) return throw_type(env, "use new");
  if (napi_get_cb_info(env, info, &count, args, &self, NULL) != napi_ok) return NULL;
  if (!family_of(env, args[0], &family) ||
      !int_of(env, args[3], 0, 7, "flags must be a whole number within 0..7", &flags) ||
      !int_of(env, args[4], -1, INT32_MAX, "fd must be a whole number from -1 on", &fd) ||
      !int_of(env, args[5], 0, 7, "features must be a whole number within 0..7", &features)) {
    return NULL;
  }
  if (fd < 0 && !address_of(env, family, args[1], args[2], &at)) return NULL;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || napi_get_instance_data(env, (void **)&addon) != napi_ok) {
    return NULL;
  }
  Socket *socket = calloc(1, sizeof *socket);
  if (socket == NULL) return throw_system(env, ENOMEM, "calloc");
  const char *what = "socket";
  socket->env = env;
  socket->addon = addon;
  socket->fd = -1;
  socket->closed = true;
  socket->family = family;
  int error = open_socket(socket, loop, fd, flags, &at, &what);
  if (error != 0) {
    if (socket->fd >= 0) close(socket->fd);
    free(socket);
    return throw_system(env, error, what);
  }
  socket->poll.data = socket;
  socket->closed = false;
  socket->next = addon->sockets;
  addon->sockets = socket;
  int size;
  socklen_t length = sizeof size;
  socket->features = features;
  if (getsockopt(socket->fd, SOL_UDP, UDP_SEGMENT, &size, &length) < 0) socket->features &= ~FEATURE_GSO;
  if ((features & FEATURE_GRO) && set_int(socket->fd, SOL_UDP, UDP_GRO, 1) < 0) socket->features &= ~FEATURE_GRO;
  /* `self` keeps the wrapper until the socket is closed; what is not wrapped is freed then. */
  bool ok = napi_create_reference(env, self, 1, &socket->self) == napi_ok &&
            napi_create_string_utf8(env, "KCP_UDP", NAPI_AUTO_LENGTH, &name) == napi_ok &&
            napi_async_init(env, NULL, name, &socket->context) == napi_ok &&
            napi_add_async_cleanup_hook(env, on_thread_end, socket, &socket->cleanup) == napi_ok;
  socket->wrapped = ok && napi_wrap(env, self, socket, finalize, NULL, NULL) == napi_ok;
  if (!socket->wrapped || napi_type_tag_object(env, self, &socket_tag) != napi_ok) {
    begin_close(socket);
    return throw_system(env, ENOMEM, "napi");
  }
  return self;
}

/* start(onBatch, onError): delivers from now on, and keeps the process alive unless `unref` was called. */
static napi_value start(napi_env env, napi_callback_info info) {
  napi_value args[2];
  Socket *socket = receiver(env, info, 2, args, true);
  if (socket == NULL) return NULL;
  if (!is_function(env, args[0]) || !is_function(env, args[1])) return throw_type(env, "start takes two functions");
  if (socket->started) return throw_system(env, EALREADY, "start");
  int failed = UV_ENOMEM;
  const char *what = "start";
  if (napi_create_reference(env, args[0], 1, &socket->on_batch) == napi_ok &&
      napi_create_reference(env, args[1], 1, &socket->on_error) == napi_ok) {
    what = "uv_poll_start";
    failed = uv_poll_start(&socket->poll, UV_READABLE, on_readable);
  }
  if (failed != 0) {
    drop_ref(env, &socket->on_batch);
    drop_ref(env, &socket->on_error);
    return throw_system(env, -failed, what);
  }
  socket->started = true;
  return NULL;
}

/*
 * connect(address, port): ties the socket to one peer; again, with the source address that fits by now: the kernel keeps
 * the one of the first time until the socket is untied. When it fails the socket is tied to nobody, and sends by address.
 */
static napi_value connect_to(napi_env env, napi_callback_info info) {
  napi_value args[2];
  struct sockaddr_storage to;
  Socket *socket = receiver(env, info, 2, args, true);
  if (socket == NULL || !address_of(env, socket->family, args[0], args[1], &to)) return NULL;
  if (socket->connected) {
    struct sockaddr_storage nobody;
    memset(&nobody, 0, sizeof nobody);
    nobody.ss_family = AF_UNSPEC;
    socket->connected = false;
    connect(socket->fd, (struct sockaddr *)&nobody, size_of(socket->family));
  }
  int failed;
  do failed = connect(socket->fd, (struct sockaddr *)&to, size_of(socket->family));
  while (failed < 0 && errno == EINTR);
  if (failed < 0) return throw_system(env, errno, "connect");
  socket->connected = true;
  return NULL;
}

/* close(onClose): resolves nothing, throws nothing; `onClose` is called once the descriptor is gone. */
static napi_value close_socket(napi_env env, napi_callback_info info) {
  napi_value args[1];
  Socket *socket = receiver(env, info, 1, args, false);
  if (socket == NULL || socket->closed) return NULL;
  if (is_function(env, args[0])) napi_create_reference(env, args[0], 1, &socket->on_close);
  begin_close(socket);
  return NULL;
}

static napi_value ref(napi_env env, napi_callback_info info) {
  Socket *socket = receiver(env, info, 0, NULL, false);
  if (socket != NULL && !socket->closed) uv_ref((uv_handle_t *)&socket->poll);
  return NULL;
}

static napi_value unref(napi_env env, napi_callback_info info) {
  Socket *socket = receiver(env, info, 0, NULL, false);
  if (socket != NULL && !socket->closed) uv_unref((uv_handle_t *)&socket->poll);
  return NULL;
}

static napi_value local_address(napi_env env, napi_callback_info info) {
  struct sockaddr_storage name = {0};
  socklen_t length = sizeof name;
  Socket *socket = receiver(env, info, 0, NULL, true);
  if (socket == NULL) return NULL;
  if (getsockname(socket->fd, (struct sockaddr *)&name, &length) < 0) return throw_system(env, errno, "getsockname");
  return address_value(env, &name);
}

static napi_value remote_address(napi_env env, napi_callback_info info) {
  struct sockaddr_storage name = {0};
  socklen_t length = sizeof name;
  Socket *socket = receiver(env, info, 0, NULL, true);
  if (socket == NULL) return NULL;
  if (getpeername(socket->fd, (struct sockaddr *)&name, &length) < 0) return throw_system(env, errno, "getpeername");
  return address_value(env, &name);
}

/* setBuffers(bytes): asks for buffers of this size in both directions. Returns [receive, send] as granted. */
static napi_value set_buffers(napi_env env, napi_callback_info info) {
  napi_value args[1], result, value;
  int32_t bytes;
  Socket *socket = receiver(env, info, 1, args, true);
  if (socket == NULL || !int_of(env, args[0], 0, INT32_MAX, "bytes must be a whole number from 0 on", &bytes)) {
    return NULL;
  }
  if (bytes > 0 && (set_int(socket->fd, SOL_SOCKET, SO_RCVBUF, bytes) < 0 ||
                    set_int(socket->fd, SOL_SOCKET, SO_SNDBUF, bytes) < 0)) {
    return throw_system(env, errno, "setsockopt");
  }
  if (napi_create_array_with_length(env, 2, &result) != napi_ok) return NULL;
  const int names[2] = {SO_RCVBUF, SO_SNDBUF};
  for (uint32_t i = 0; i < 2; i++) {
    int granted = 0;
    socklen_t length = sizeof granted;
    getsockopt(socket->fd, SOL_SOCKET, names[i], &granted, &length);
    if (napi_create_int32(env, granted, &value) == napi_ok) napi_set_element(env, result, i, value);
  }
  return result;
}

/* setPacingRate(bytesPerSecond): whether the kernel took it. Only the fq queueing discipline acts on it. */
static napi_value set_pacing_rate(napi_env env, napi_callback_info info) {
  napi_value args[1], result;
  int32_t rate;
  Socket *socket = receiver(env, info, 1, args, true);
  if (socket == NULL || !int_of(env, args[0], 0, INT32_MAX, "a rate is a whole number from 0 on", &rate)) return NULL;
  /* 0 takes the limit away: the kernel's word for that is all ones. */
  unsigned value = rate == 0 ? ~0u : (unsigned)rate;
  bool taken = setsockopt(socket->fd, SOL_SOCKET, SO_MAX_PACING_RATE, &value, sizeof value) == 0;
  return napi_get_boolean(env, taken, &result) == napi_ok ? result : NULL;
}

static napi_value descriptor(napi_env env, napi_callback_info info) {
  napi_value result;
  Socket *socket = receiver(env, info, 0, NULL, true);
  if (socket == NULL) return NULL;
  return napi_create_int32(env, socket->fd, &result) == napi_ok ? result : NULL;
}

static napi_value features(napi_env env, napi_callback_info info) {
  napi_value result;
  Socket *socket = receiver(env, info, 0, NULL, false);
  if (socket == NULL) return NULL;
  return napi_create_int32(env, socket->features, &result) == napi_ok ? result : NULL;
}

static napi_value counters(napi_env env, napi_callback_info info) {
  napi_value result, value;
  Socket *socket = receiver(env, info, 0, NULL, false);
  if (socket == NULL || napi_create_object(env, &result) != napi_ok) return NULL;
  const struct {
    const char *name;
    double value;
  } all[] = {
      {"callsOut", socket->calls_out},         {"messagesOut", socket->messages_out},
      {"datagramsOut", socket->datagrams_out}, {"callsIn", socket->calls_in},
      {"messagesIn", socket->messages_in},     {"lostFull", socket->lost_full},
      {"lostOther", socket->lost_other},       {"truncated", socket->truncated},
      {"gsoRefused", socket->gso_refused},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (napi_create_double(env, all[i].value, &value) == napi_ok) {
      napi_set_named_property(env, result, all[i].name, value);
    }
  }
  return result;
}

/* addressText(family, a0, a1, a2, a3, scope): the words of a table's row as text. */
static napi_value address_text(napi_env env, napi_callback_info info) {
  napi_value args[6], result;
  size_t count = 6;
  int family;
  int32_t words[5], row[ROW] = {0};
  struct sockaddr_storage from;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok ||
      !family_of(env, args[0], &family)) {
    return NULL;
  }
  for (int i = 0; i < 5; i++) {
    if (!int_of(env, args[1 + i], INT32_MIN, INT32_MAX, "a word of an address is an int32", &words[i])) return NULL;
  }
  memcpy(row + ADDRESS, words, sizeof words);
  get_address(row, family, &from);
  napi_value parts = address_value(env, &from);
  return parts != NULL && napi_get_element(env, parts, 0, &result) == napi_ok ? result : NULL;
}

/* addressWords(family, text): the opposite, as [a0, a1, a2, a3, scope]. */
static napi_value address_words(napi_env env, napi_callback_info info) {
  napi_value args[2], port, result, value;
  size_t count = 2;
  int family;
  int32_t row[ROW] = {0};
  struct sockaddr_storage to;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok ||
      !family_of(env, args[0], &family) || napi_create_int32(env, 0, &port) != napi_ok) {
    return NULL;
  }
  if (!address_of(env, family, args[1], port, &to)) return NULL;
  put_address(row, &to, family);
  if (napi_create_array_with_length(env, 5, &result) != napi_ok) return NULL;
  for (uint32_t i = 0; i < 5; i++) {
    if (napi_create_int32(env, row[ADDRESS + i], &value) == napi_ok) napi_set_element(env, result, i, value);
  }
  return result;
}

/* ---- the module --------------------------------------------------------------------------------------------- */

static void free_addon(napi_env env, void *data, void *hint) {
  Addon *addon = data;
  Shared *all[] = {&addon->send_bytes, &addon->send_table, &addon->recv_bytes, &addon->recv_table};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) drop_ref(env, &all[i]->buffer);
  free(addon);
}

/* A new buffer, zeroed: pages that nothing was written to cost nothing. */
static bool export_buffer(napi_env env, napi_value exports, const char *name, size_t size, Shared *shared) {
  napi_value buffer;
  return napi_create_arraybuffer(env, size, &shared->bytes, &buffer) == napi_ok &&
         napi_create_reference(env, buffer, 1, &shared->buffer) == napi_ok &&
         napi_set_named_property(env, exports, name, buffer) == napi_ok;
}

static bool export_number(napi_env env, napi_value exports, const char *name, int32_t number) {
  napi_value value;
  return napi_create_int32(env, number, &value) == napi_ok &&
         napi_set_named_property(env, exports, name, value) == napi_ok;
}

static bool export_function(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) == napi_ok &&
         napi_set_named_property(env, exports, name, value) == napi_ok;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor methods[] = {
      {"start", NULL, start, NULL, NULL, NULL, napi_default, NULL},
      {"connect", NULL, connect_to, NULL, NULL, NULL, napi_default, NULL},
      {"commit", NULL, commit, NULL, NULL, NULL, napi_default, NULL},
      {"close", NULL, close_socket, NULL, NULL, NULL, napi_default, NULL},
      {"ref", NULL, ref, NULL, NULL, NULL, napi_default, NULL},
      {"unref", NULL, unref, NULL, NULL, NULL, napi_default, NULL},
      {"address", NULL, local_address, NULL, NULL, NULL, napi_default, NULL},
      {"remoteAddress", NULL, remote_address, NULL, NULL, NULL, napi_default, NULL},
      {"setBuffers", NULL, set_buffers, NULL, NULL, NULL, napi_default, NULL},
      {"setPacingRate", NULL, set_pacing_rate, NULL, NULL, NULL, napi_default, NULL},
      {"fd", NULL, descriptor, NULL, NULL, NULL, napi_default, NULL},
      {"features", NULL, features, NULL, NULL, NULL, napi_default, NULL},
      {"counters", NULL, counters, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_value constructor;
  Addon *addon = calloc(1, sizeof *addon);
  if (addon == NULL) return throw_system(env, ENOMEM, "calloc");
  if (napi_set_instance_data(env, addon, free_addon, NULL) != napi_ok) {
    free(addon);
    return throw_system(env, ENOMEM, "napi");
  }
  bool ok = export_buffer(env, exports, "sendBytes", SEND_BYTES, &addon->send_bytes) &&
            export_buffer(env, exports, "sendTable", SEND_RUNS * ROW * sizeof(int32_t), &addon->send_table) &&
            export_buffer(env, exports, "recvBytes", RECV_BYTES, &addon->recv_bytes) &&
            export_buffer(env, exports, "recvTable", RECV_MESSAGES * ROW * sizeof(int32_t), &addon->recv_table) &&
            export_number(env, exports, "interfaceVersion", INTERFACE_VERSION) &&
            export_number(env, exports, "maxDatagram", MAX_DATAGRAM) &&
            export_number(env, exports, "maxSegments", MAX_SEGMENTS) &&
            export_function(env, exports, "addressText", address_text) &&
            export_function(env, exports, "addressWords", address_words) &&
            napi_define_class(env, "Socket", NAPI_AUTO_LENGTH, construct, NULL, sizeof methods / sizeof *methods,
                              methods, &constructor) == napi_ok &&
            napi_set_named_property(env, exports, "Socket", constructor) == napi_ok;
  if (!ok) return throw_system(env, ENOMEM, "exports");
  return exports;
}
