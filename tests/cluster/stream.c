/* stream UDP_SENDER UDP_RECEIVER TCP_CLIENT TCP_SERVER: numbered datagrams, 1,000 a second, and a TCP conversation.
 *
 * Who had no processor for a while catches up in portions, between which all that has come is taken: buffers of sockets
 * and of the kernel's backlog are not what is measured.
 *
 * The arguments are descriptors of sockets, opened in whatever network namespaces; the clients are connected. What the
 * receiver gets it sends back, so that both ways are watched. At the end of standard input nothing new is sent, what
 * is on its way is waited for, and a report is printed as JSON: how much was sent, which numbers did not arrive or
 * were not answered and when these were sent, the longest silence, and what became of the conversation.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 600 * 1000, NANOSECONDS = 1000000000, TICK = 1000000, WORD_EVERY = 10, AT_ONCE = 64 };
enum { ARRIVED = 1, ANSWERED = 2 };
static const int64_t LAST_ONES = NANOSECONDS; /* how long what is on its way is waited for after what came last */

static uint8_t state[MOST]; /* of each datagram: ARRIVED, ANSWERED */
static int64_t sent_at[MOST], begun, last_arrival, silence;
static uint32_t sent, arrived, answered, strange;
static uint64_t words_sent, words_heard, words_answered; /* bytes of the conversation */
static char send_error[64], talk_error[64];

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NANOSECONDS + t.tv_nsec;
}

static void remember(char *where, const char *what)
{
    if (!*where) snprintf(where, sizeof send_error, "%s: %s", what, strerror(errno));
}

static void send_next(int sender)
{
    uint32_t number = sent;
    sent_at[sent++] = now();
    /* An error is that of an earlier datagram, which an ICMP message told of: this one has not been sent by that call. */
    if (send(sender, &number, sizeof number, 0) < 0) {
        remember(send_error, "send");
        if (send(sender, &number, sizeof number, 0) < 0) remember(send_error, "send again");
    }
}

static void mark(uint32_t number, uint8_t how, uint32_t *count)
{
    if (number >= sent) strange++;
    else if (!(state[number] & how)) state[number] |= how, ++*count;
}

static void receive(int receiver)
{
    struct sockaddr_storage from;
    uint32_t number;
    for (;;) {
        socklen_t length = sizeof from;
        if (recvfrom(receiver, &number, sizeof number, 0, (struct sockaddr *)&from, &length) != sizeof number) return;
        int64_t at = now();
        if (at - last_arrival > silence) silence = at - last_arrival;
        last_arrival = at;
        mark(number, ARRIVED, &arrived);
        if (sendto(receiver, &number, sizeof number, 0, (struct sockaddr *)&from, length) < 0)
            remember(send_error, "answer");
    }
}

static void take_answers(int sender)
{
    uint32_t number;
    while (recv(sender, &number, sizeof number, 0) == sizeof number) mark(number, ANSWERED, &answered);
}

static void say(int client)
{
    uint64_t word = words_sent;
    ssize_t written = send(client, &word, sizeof word, MSG_NOSIGNAL);
    if (written > 0) words_sent += (uint64_t)written;
    else if (errno != EAGAIN) remember(talk_error, "client");
}

static void hear(int from, int back, uint64_t *count, const char *who)
{
    char bytes[4096];
    for (;;) {
        ssize_t got = recv(from, bytes, sizeof bytes, 0);
        if (got == 0 && !*talk_error) snprintf(talk_error, sizeof talk_error, "%s: closed by the other end", who);
        if (got < 0 && errno != EAGAIN) remember(talk_error, who);
        if (got <= 0) return;
        *count += (uint64_t)got;
        if (back >= 0 && send(back, bytes, (size_t)got, MSG_NOSIGNAL) != got) remember(talk_error, who);
    }
}

static void print_gaps(const char *name, uint8_t how)
{
    const char *comma = "";
    printf("\"%s\": [", name);
    for (uint32_t first = 0, last; first < sent; first = last + 1) {
        last = first;
        if (state[first] & how) continue;
        while (last + 1 < sent && !(state[last + 1] & how)) last++;
        printf("%s{\"first\": %" PRIu32 ", \"last\": %" PRIu32 ", \"at_ms\": %" PRId64 "}", comma, first, last,
               (sent_at[first] - begun) / 1000000);
        comma = ", ";
    }
    printf("], ");
}

static bool complete(void)
{
    return arrived == sent && answered == sent && (*talk_error || words_answered == words_sent);
}

int main(int count, char **argument)
{
    if (count != 5) return fprintf(stderr, "usage: stream UDP_SENDER UDP_RECEIVER TCP_CLIENT TCP_SERVER\n"), 2;
    int fd[4];
    for (int i = 0; i < 4; i++) {
        fd[i] = atoi(argument[i + 1]);
        if (fcntl(fd[i], F_SETFL, fcntl(fd[i], F_GETFL) | O_NONBLOCK) < 0) return perror("stream: descriptor"), 2;
    }
    struct pollfd polled[5];
    for (int i = 0; i < 4; i++) polled[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
    polled[4] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};

    last_arrival = begun = now();
    bool on = true;
    uint64_t come = 0;
    for (int64_t until = 0; on || (!complete() && now() < until);) {
        if (on && polled[4].revents) on = false, polled[4].fd = -1, until = now() + LAST_ONES;
        for (int due = 0; on && due < AT_ONCE && sent < MOST && now() >= begun + (int64_t)sent * TICK; due++) {
            if (sent % WORD_EVERY == 0) say(fd[2]);
            send_next(fd[0]);
        }
        receive(fd[1]);
        take_answers(fd[0]);
        hear(fd[3], fd[3], &words_heard, "server");
        hear(fd[2], -1, &words_answered, "client");
        uint64_t all = arrived + answered + words_heard + words_answered;
        if (all != come) come = all, until = now() + LAST_ONES;
        if (*talk_error) polled[2].fd = polled[3].fd = -1; /* nothing more comes, and poll would not wait */
        int64_t next = begun + (int64_t)sent * TICK - now();
        struct timespec wait = {.tv_nsec = !on || next > TICK ? TICK : next > 0 ? next : 0};
        ppoll(polled, 5, &wait, NULL);
    }
    printf("{\"sent\": %" PRIu32 ", \"arrived\": %" PRIu32 ", \"answered\": %" PRIu32 ", \"strange\": %" PRIu32 ", ", sent,
           arrived, answered, strange);
    print_gaps("lost", ARRIVED);
    print_gaps("unanswered", ANSWERED);
    printf("\"silence_ms\": %" PRId64 ", \"send_error\": \"%s\", \"said\": %" PRIu64 ", \"heard_back\": %" PRIu64
           ", \"talk_error\": \"%s\"}\n", silence / 1000000, send_error, words_sent, words_answered, talk_error);
    return 0;
}
