/* timed: stands in a folder under the names of CNI plugins, executes the one of its name in /opt/cni/bin or, where that
 * folder lacks it, in /usr/lib/cni, and writes a line to /run/timed.log: verb, container, interface, plugin, begin and
 * end in nanoseconds of the real-time clock, exit status. One fork and exec more, the same for every plugin.
 * What a plugin delegates to is executed by it without this: CNI_PATH is set to those folders.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const char *said(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : "-";
}

int main(int count, char **argument)
{
    (void)count;
    const char *slash = strrchr(argument[0], '/'), *name = slash ? slash + 1 : argument[0];
    char path[256], line[512];
    snprintf(path, sizeof path, "/opt/cni/bin/%s", name);
    if (access(path, X_OK) < 0) snprintf(path, sizeof path, "/usr/lib/cni/%s", name);
    setenv("CNI_PATH", "/opt/cni/bin:/usr/lib/cni", 1);
    int64_t begin = now();
    pid_t child = fork();
    if (child < 0) return perror("timed: fork"), 1;
    if (child == 0) {
        argument[0] = path;
        execv(path, argument);
        perror(path);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) < 0) return perror("timed: wait"), 1;
    int64_t end = now();
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    int length = snprintf(line, sizeof line, "%s %s %s %s %" PRId64 " %" PRId64 " %d\n", said("CNI_COMMAND"),
                          said("CNI_CONTAINERID"), said("CNI_IFNAME"), name, begin, end, code);
    int log = open("/run/timed.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || write(log, line, (size_t)length) != length) perror("timed: /run/timed.log");
    return code;
}
