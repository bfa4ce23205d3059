/*
 * Round trips of one UDP datagram between two network namespaces.
 *
 *   pingpong serve PORT              answers every datagram to its sender, until killed
 *   pingpong ask ADDRESS PORT COUNT  prints COUNT round-trip times, in nanoseconds of CLOCK_MONOTONIC, one a line
 *
 * One datagram is in flight at a time. A datagram that does not come back within a second ends the program
 * with status 1: a lost one would be a fault of the path under measurement, not noise.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

_Noreturn static void
serve(uint16_t port)
{
    struct sockaddr_in6 self = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in6 peer;
    socklen_t length;
    ssize_t size;
    char data[2048];
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    if (fd < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *)&self, sizeof self) < 0)
        die("bind");
    puts("ready");
    fflush(stdout);
    for (;;) {
        length = sizeof peer;
        size = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&peer, &length);
        if (size < 0)
            die("recvfrom");
        if (sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&peer, length) < 0)
            die("sendto");
    }
}

static int
ask(const char *address, uint16_t port, long count)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 1};
    uint64_t *took = calloc((size_t)count, sizeof *took);
    char data[64] = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (took == NULL || fd < 0)
        die("socket");
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1) {
        fprintf(stderr, "pingpong: %s is no IPv4 address\n", address);
        return 2;
    }
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        die("connect");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        die("setsockopt");
    for (long i = 0; i < count; i++) {
        uint64_t start = now();

        if (send(fd, data, sizeof data, 0) < 0)
            die("send");
        if (recv(fd, data, sizeof data, 0) < 0)
            die("recv");
        took[i] = now() - start;
    }
    for (long i = 0; i < count; i++)
        printf("%llu\n", (unsigned long long)took[i]);
    free(took);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve((uint16_t)atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "ask") == 0 && atol(argv[4]) > 0)
        return ask(argv[2], (uint16_t)atoi(argv[3]), atol(argv[4]));
    fputs("usage: pingpong serve PORT | pingpong ask ADDRESS PORT COUNT\n", stderr);
    return 2;
}
