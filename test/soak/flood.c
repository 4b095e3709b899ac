/*
 * Sends first datagrams of conversations from as many source addresses as there are: `flood PORT COUNT RATE`, to
 * 127.0.0.1:PORT, RATE a second (0: as fast as it goes), each from another address of 127.0.0.0/8, which needs no
 * privilege. Says how many datagrams and bytes it sent, and how many came back.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, SIZE = 25 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static long heard, heard_bytes;

static void drain(int fd) {
  static char into[65536];
  for (;;) {
    ssize_t size = recv(fd, into, sizeof into, MSG_DONTWAIT);
    if (size < 0) return;
    heard++;
    heard_bytes += size;
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  long count = atol(argv[2]);
  double rate = atof(argv[3]);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int room = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  struct sockaddr_in any = {.sin_family = AF_INET};
  if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0) return 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

  static struct mmsghdr messages[BATCH];
  static struct iovec parts[BATCH];
  static uint8_t bytes[BATCH][SIZE];
  static union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
  } control[BATCH];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){bytes[i], SIZE};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i],
      .msg_iovlen = 1, .msg_control = control[i].room, .msg_controllen = sizeof control[i].room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&messages[i].msg_hdr);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    bytes[i][4] = 81;
    bytes[i][6] = 128;
    bytes[i][20] = 1;
  }

  double start = now();
  long sent = 0;
  uint32_t conv = 2463534242u;
  while (sent < count) {
    if (rate > 0 && sent > (now() - start) * rate) {
      drain(fd);
      usleep(500);
      continue;
    }
    for (int i = 0; i < BATCH; i++) {
      struct in_pktinfo info = {0};
      /* 127.16.0.0 and up: 15 million addresses. */
      info.ipi_spec_dst.s_addr = htonl(0x7f100000u + (uint32_t)((sent + i) % 15000000));
      memcpy(CMSG_DATA(CMSG_FIRSTHDR(&messages[i].msg_hdr)), &info, sizeof info);
      conv ^= conv << 13, conv ^= conv >> 17, conv ^= conv << 5;
      memcpy(bytes[i], &conv, 4);
    }
    int done = sendmmsg(fd, messages, BATCH, 0);
    if (done > 0) sent += done;
    if ((sent & 1023) < BATCH) drain(fd);
  }
  double seconds = now() - start;
  printf("sent");
  fflush(stdout);
  for (int i = 0; i < 60; i++) {
    drain(fd);
    usleep(100000);
  }
  printf("{\"sent\":%ld,\"sentBytes\":%ld,\"seconds\":%.3f,\"heard\":%ld,\"heardBytes\":%ld}\n", sent, sent * SIZE, seconds, heard,
    heard_bytes);
  return 0;
}
