/*
 * Executes CNI plugins as a container runtime does, and takes the time.
 *
 *   runner VERB WIDTH PODS CHAIN RESULTS SAMPLES [KEPT...]
 *
 * VERB     what CNI_COMMAND says: ADD, DEL (the chain backwards), VERSION (first plugin only, RESULTS unused)
 * WIDTH    how many pods are served at the same time
 * PODS     file: a line per pod, "CONTAINER-ID NETNS-PATH"
 * CHAIN    file: a line per plugin, "EXECUTABLE CONFIGURATION-FILE"; the configuration has cniVersion and name
 *          injected; the string "@PORT@" in it, with its quotes, becomes the pod's own number: 20000 for the first
 * RESULTS  folder: ADD leaves every pod's result in RESULTS/CONTAINER-ID, DEL hands it to the plugins as prevResult
 * SAMPLES  file written afterwards: "exec POD PLUGIN START END STATUS" for every execution (ns of CLOCK_MONOTONIC),
 *          "cpu NS" (of all processes executed), after ADD "links N": how many there are besides KEPT in this
 *          network namespace, and after DEL "gone NS": how long after the last answer the last of them vanished
 * KEPT     names of the links that are not pods'
 *
 * What a runtime does per plugin is done here: one process, pipes for its standard input, output and error, the
 * configuration written, the answer read to its end, the process waited for. The result of one plugin is the
 * prevResult of the next. As Go's os/exec and glibc's posix_spawn do, the child shares the parent's memory until
 * it executes, so this program's size costs the plugins nothing. A plugin that fails ends its pod's chain: its
 * answer goes to standard error, and the exit status is 1. Everything is read before the clock starts and written
 * after it stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PLUGINS = 8, MAX_WIDTH = 64, ANSWER = 65536, PATIENCE_SECONDS = 60, FIRST_PORT = 20000, LAST_PORT = 65535 };

static const char port_mark[] = "\"@PORT@\"";

struct sample {
    uint64_t start, end;
    int status; /* exit status; -1: not executed */
};

struct plugin {
    char *executable;
    char *before;        /* the configuration until the port's mark; NULL: there is no port in it */
    char *configuration; /* the rest of it, or all; ends with its closing brace */
};

struct pod {
    char *id, *netns, *result;
    char port[8];
    char *environment[8];
    struct sample samples[MAX_PLUGINS];
};

static struct plugin chain[MAX_PLUGINS];
static struct pod *pods;
static size_t plugins, pod_count;
static atomic_size_t next_pod;
static const char *verb;
static bool backwards;
static posix_spawnattr_t spawning; /* SIGPIPE, which is ignored here, kills the plugins as ever */

_Noreturn static void
die(const char *format, ...)
{
    va_list arguments;
    int cause = errno;

    va_start(arguments, format);
    fputs("runner: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " (errno: %s)\n", strerror(cause));
    exit(2);
}

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static char *
format(const char *pattern, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, pattern);
    if (vasprintf(&text, pattern, arguments) < 0)
        die("out of memory");
    va_end(arguments);
    return text;
}

/* The whole of a file, without the line ends at its end. An empty file gives what getdelim allocated: "". */
static char *
contents(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;

    if (file == NULL || (getdelim(&text, &room, '\0', file) < 0 && ferror(file)))
        die("%s", path);
    fclose(file);
    for (size_t end = strlen(text); end > 0 && text[end - 1] == '\n'; end--)
        text[end - 1] = '\0';
    return text;
}

/* Takes the next "FIRST SECOND" line off the text; false at its end. */
static bool
fields(char **text, char **first, char **second)
{
    char *line = strsep(text, "\n");

    if (line == NULL)
        return false;
    *first = strsep(&line, " ");
    *second = line;
    if (line == NULL)
        die("a line without two fields: %s", *first);
    return true;
}

/* Parts a configuration at the port's mark, of which there is one or none. */
static void
part(struct plugin *plugin)
{
    char *mark = strstr(plugin->configuration, port_mark);

    if (mark == NULL)
        return;
    *mark = '\0';
    plugin->before = plugin->configuration;
    plugin->configuration = mark + sizeof port_mark - 1;
    if (strstr(plugin->configuration, port_mark) != NULL)
        die("%s: a configuration with more than one %s", plugin->executable, port_mark);
}

static void
read_chain(const char *path)
{
    char *text = contents(path), *configuration;

    for (; plugins < MAX_PLUGINS && fields(&text, &chain[plugins].executable, &configuration); plugins++) {
        chain[plugins].configuration = contents(configuration);
        part(&chain[plugins]);
    }
}

static void
read_pods(const char *path, const char *results)
{
    char *text = contents(path);
    size_t room = 1;
    struct pod *pod;

    for (const char *c = text; *c != '\0'; c++)
        room += *c == '\n';
    if ((pods = calloc(room, sizeof *pods)) == NULL)
        die("out of memory");
    for (pod = pods; pod_count < room && fields(&text, &pod->id, &pod->netns); pod++, pod_count++) {
        if (backwards)
            pod->result = contents(format("%s/%s", results, pod->id));
        if (pod_count > LAST_PORT - FIRST_PORT)
            die("%s: more pods than ports", path);
        snprintf(pod->port, sizeof pod->port, "%zu", FIRST_PORT + pod_count);
        pod->environment[0] = format("CNI_COMMAND=%s", verb);
        pod->environment[1] = format("CNI_CONTAINERID=%s", pod->id);
        pod->environment[2] = format("CNI_NETNS=%s", pod->netns);
        pod->environment[3] = "CNI_IFNAME=eth0";
        pod->environment[4] = format("CNI_PATH=%s", getenv("CNI_PATH") ? getenv("CNI_PATH") : "");
        pod->environment[5] = format("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=%s", pod->id);
        pod->environment[6] = format("PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin");
        for (size_t i = 0; i < MAX_PLUGINS; i++)
            pod->samples[i].status = -1;
    }
}

/*
 * The configuration, with the pod's port in it where its mark was, and prevResult where there is one. A plugin that
 * does not read it tells why by its status.
 */
static void
write_configuration(int fd, const struct plugin *plugin, const struct pod *pod)
{
    int length = (int)strlen(plugin->configuration);
    const char *before = plugin->before != NULL ? plugin->before : "", *port = plugin->before != NULL ? pod->port : "";
    char *text = pod->result == NULL ? format("%s%s%s", before, port, plugin->configuration)
                                     : format("%s%s%.*s,\"prevResult\":%s}", before, port, length - 1,
                                              plugin->configuration, pod->result);

    if (write(fd, text, strlen(text)) < 0 && errno != EPIPE)
        die("write to %s", plugin->executable);
    free(text);
}

/* Both of the plugin's outputs to their ends; the standard output is returned, the error output is passed on. */
static char *
read_answer(int output, int error)
{
    struct pollfd open[2] = {{.fd = output, .events = POLLIN}, {.fd = error, .events = POLLIN}};
    char *answer = malloc(ANSWER), complaint[4096];
    size_t length = 0;
    ssize_t size;

    if (answer == NULL)
        die("out of memory");
    while (open[0].fd >= 0 || open[1].fd >= 0) {
        if (poll(open, 2, -1) < 0)
            die("poll");
        if (open[0].revents != 0) {
            size = read(output, answer + length, ANSWER - 1 - length);
            length += size > 0 ? (size_t)size : 0;
            if (size <= 0)
                open[0].fd = -1;
        }
        if (open[1].revents != 0) {
            size = read(error, complaint, sizeof complaint);
            if (size > 0)
                fwrite(complaint, 1, (size_t)size, stderr);
            else
                open[1].fd = -1;
        }
    }
    answer[length] = '\0';
    return answer;
}

/* One execution of one plugin. Returns its standard output. */
static char *
execute(const struct plugin *plugin, struct pod *pod, struct sample *sample)
{
    int in[2], out[2], error[2], cause, status;
    char *argv[] = {plugin->executable, NULL}, *answer;
    posix_spawn_file_actions_t actions;
    pid_t pid;

    sample->start = now();
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(error, O_CLOEXEC) < 0)
        die("pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, error[1], 2);
    cause = posix_spawn(&pid, plugin->executable, &actions, &spawning, argv, pod->environment);
    if (cause != 0) {
        errno = cause;
        die("%s", plugin->executable);
    }
    close(in[0]);
    close(out[1]);
    close(error[1]);
    write_configuration(in[1], plugin, pod);
    close(in[1]);
    answer = read_answer(out[0], error[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    sample->end = now();

    close(out[0]);
    close(error[0]);
    posix_spawn_file_actions_destroy(&actions);
    sample->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return answer;
}

static void
serve(struct pod *pod)
{
    for (size_t step = 0; step < plugins; step++) {
        size_t index = backwards ? plugins - 1 - step : step;
        char *answer = execute(&chain[index], pod, &pod->samples[index]);

        if (pod->samples[index].status != 0) {
            fprintf(stderr, "runner: %s %s for %s: exit status %d: %s\n", chain[index].executable, verb, pod->id,
                    pod->samples[index].status, answer);
            free(answer);
            return;
        }
        if (backwards) {
            free(answer);
        } else {
            free(pod->result);
            pod->result = answer;
        }
    }
}

static void *
work(void *unused)
{
    size_t pod;

    while ((pod = atomic_fetch_add(&next_pod, 1)) < pod_count)
        serve(&pods[pod]);
    return unused;
}

/* How many links there are besides the kept ones. */
static size_t
links(char **kept)
{
    struct if_nameindex *all = if_nameindex();
    size_t count = 0;
    bool keep;

    if (all == NULL)
        die("if_nameindex");
    for (struct if_nameindex *link = all; link->if_index != 0; link++) {
        keep = false;
        for (char **name = kept; *name != NULL; name++)
            keep = keep || strcmp(*name, link->if_name) == 0;
        count += !keep;
    }
    if_freenameindex(all);
    return count;
}

/* Waits until the pods' links are gone; the moment. */
static uint64_t
wait_gone(char **kept)
{
    const struct timespec pause = {.tv_nsec = 3000000};
    uint64_t deadline = now() + PATIENCE_SECONDS * 1000000000ULL, moment;
    size_t left;

    for (;;) {
        left = links(kept);
        moment = now();
        if (left == 0)
            return moment;
        if (moment > deadline)
            die("%zu links are still there %d s after the last DEL was answered", left, PATIENCE_SECONDS);
        nanosleep(&pause, NULL);
    }
}

static void
keep_results(const char *folder)
{
    for (size_t i = 0; i < pod_count; i++) {
        FILE *file = fopen(format("%s/%s", folder, pods[i].id), "we");

        if (file == NULL || fputs(pods[i].result != NULL ? pods[i].result : "", file) < 0 || fclose(file) != 0)
            die("%s", folder);
    }
}

/* Writes the samples; whether every execution succeeded. */
static bool
keep_samples(const char *path, char **kept)
{
    struct rusage usage;
    uint64_t last = 0;
    bool good = true;
    FILE *file;

    for (size_t i = 0; i < pod_count; i++)
        for (size_t j = 0; j < plugins; j++) {
            good = good && pods[i].samples[j].status == 0;
            last = pods[i].samples[j].end > last ? pods[i].samples[j].end : last;
        }
    uint64_t gone = backwards && good ? wait_gone(kept) : last;

    file = fopen(path, "we");
    if (file == NULL)
        die("%s", path);
    for (size_t i = 0; i < pod_count; i++)
        for (size_t j = 0; j < plugins; j++)
            fprintf(file, "exec %zu %zu %llu %llu %d\n", i, j, (unsigned long long)pods[i].samples[j].start,
                    (unsigned long long)pods[i].samples[j].end, pods[i].samples[j].status);
    getrusage(RUSAGE_CHILDREN, &usage);
    fprintf(file, "cpu %lld\n",
            (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
                (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL);
    if (strcmp(verb, "ADD") == 0)
        fprintf(file, "links %zu\n", links(kept));
    if (backwards)
        fprintf(file, "gone %llu\n", (unsigned long long)(gone > last ? gone - last : 0));
    if (fclose(file) != 0)
        die("%s", path);
    return good;
}

int
main(int argc, char **argv)
{
    pthread_t threads[MAX_WIDTH];
    sigset_t defaults;
    long width;

    if (argc < 7 || (width = atol(argv[2])) < 1 || width > MAX_WIDTH) {
        fputs("usage: runner VERB WIDTH PODS CHAIN RESULTS SAMPLES [KEPT...]\n", stderr);
        return 2;
    }
    verb = argv[1];
    backwards = strcmp(verb, "DEL") == 0;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&spawning);
    posix_spawnattr_setsigdefault(&spawning, &defaults);
    posix_spawnattr_setflags(&spawning, POSIX_SPAWN_SETSIGDEF);
    read_chain(argv[4]);
    read_pods(argv[3], argv[5]);
    for (long i = 0; i < width; i++)
        if ((errno = pthread_create(&threads[i], NULL, work, NULL)) != 0)
            die("pthread_create");
    for (long i = 0; i < width; i++)
        pthread_join(threads[i], NULL);
    if (strcmp(verb, "ADD") == 0)
        keep_results(argv[5]);
    return keep_samples(argv[6], argv + 7) ? 0 : 1;
}
