/*
 * Sends datagrams in the name of an address that never asked: `spoof DEVICE VICTIM SERVER PORT COUNT RATE WAIT VARY HEX`.
 * RATE a second, each from another port; with VARY 1 the first four bytes, a conv, are others each time. Counts what the
 * server sends to the victim, which is on this device too and answers nothing, until WAIT ms after the last.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IP = 20, UDP = 8, LARGEST = 1400 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static long heard, heard_bytes;

static void listen_in(int fd, struct in_addr victim) {
  static uint8_t into[65536];
  for (;;) {
    struct sockaddr_ll from;
    socklen_t length = sizeof from;
    ssize_t size = recvfrom(fd, into, sizeof into, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    if (size < 0) return;
    if (from.sll_pkttype == PACKET_OUTGOING || size < IP + UDP || into[9] != IPPROTO_UDP) continue;
    if (memcmp(into + 16, &victim, 4) != 0) continue;
    heard++;
    heard_bytes += size - IP - UDP;
  }
}

int main(int argc, char **argv) {
  if (argc != 10) return 2;
  int out = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  int in = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
  if (out < 0 || in < 0) return 3;
  int space = 16 << 20;
  setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space);
  struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (bind(in, (struct sockaddr *)&here, sizeof here) != 0) return 3;
  struct in_addr victim;
  struct sockaddr_in server = {.sin_family = AF_INET};
  if (inet_aton(argv[2], &victim) == 0 || inet_aton(argv[3], &server.sin_addr) == 0) return 2;
  uint16_t port = htons((uint16_t)atoi(argv[4]));
  long count = atol(argv[5]);
  double rate = atof(argv[6]), wait = atof(argv[7]) / 1000;
  int vary = atoi(argv[8]);

  static uint8_t bytes[IP + UDP + LARGEST];
  int size = (int)strlen(argv[9]) / 2;
  if (size > LARGEST) return 2;
  for (int i = 0; i < size; i++) {
    char two[3] = {argv[9][2 * i], argv[9][2 * i + 1], 0};
    bytes[IP + UDP + i] = (uint8_t)strtol(two, NULL, 16);
  }
  bytes[0] = 0x45;
  bytes[8] = 64;
  bytes[9] = IPPROTO_UDP;
  memcpy(bytes + 12, &victim, 4);
  memcpy(bytes + 16, &server.sin_addr, 4);
  /* The kernel fills in length, id and checksum of IP; UDP has none over IPv4. */
  memcpy(bytes + IP + 2, &port, 2);
  uint16_t length = htons((uint16_t)(UDP + size));
  memcpy(bytes + IP + 4, &length, 2);

  long sent = 0;
  uint32_t conv = 2463534242u;
  for (double start = now(); sent < count;) {
    listen_in(in, victim);
    if (sent > (now() - start) * rate) {
      usleep(500);
      continue;
    }
    uint16_t from = htons((uint16_t)(10000 + sent % 50000));
    memcpy(bytes + IP, &from, 2);
    conv ^= conv << 13, conv ^= conv >> 17, conv ^= conv << 5;
    if (vary) memcpy(bytes + IP + UDP, &conv, 4);
    if (sendto(out, bytes, (size_t)(IP + UDP + size), 0, (struct sockaddr *)&server, sizeof server) > 0) sent++;
    else usleep(500);
  }
  for (double end = now() + wait; now() < end; usleep(20000)) listen_in(in, victim);
  listen_in(in, victim);
  printf("{\"sent\":%ld,\"sentBytes\":%ld,\"heard\":%ld,\"heardBytes\":%ld}\n", sent, sent * size, heard, heard_bytes);
  return 0;
}
