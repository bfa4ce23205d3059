/*
 * podnet: the program that a container runtime executes for every CNI verb.
 *
 * It carries the request to podnet's node daemon and prints the daemon's answer; it decides nothing and
 * parses nothing.  One frame goes out over a unix stream socket, one answer comes back, both in host byte order
 * (the two ends are one machine):
 *
 *     request   "PNF1" | i32 errno of open(CNI_NETNS) | u32 environment length | u32 stdin length
 *               | KEY=VALUE\0 for every variable that begins with CNI_ | the bytes of stdin
 *               with the opened CNI_NETNS as an SCM_RIGHTS descriptor beside the first byte
 *     answer    u32 exit status | u32 length | bytes for stdout
 *
 * The namespace travels as a descriptor because its path need not mean the same in the daemon's mount namespace.
 *
 * Without a daemon (nobody listens on the socket), what happens was fixed when this file was installed:
 *
 *     an interpreter is named    it runs podnet.oneshot: the frame on descriptor 0, the namespace on descriptor 3
 *     none is                    ADD, CHECK, GC: CNI error 11, ask again      STATUS: CNI error 50
 *                                DEL: the frame is written durably into the spool, which the daemon drains first
 *                                VERSION: answered here, it is a constant
 *
 * Start-up is most of what a program this small costs, and a C library is most of a static program's start-up:
 * 0.5 ms with glibc, 0.15 ms without (p50 of 1000 runs, x86_64).  So it has none: the system calls are made here,
 * and the libc headers give types and constants only.  No allocation: the buffers are static and their pages
 * come into being when touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#ifndef DEADLINE_SECONDS
#define DEADLINE_SECONDS 110 /* runtimes give a verb 120 s: the answer to them is to be ours, with a reason */
#endif

enum {
	STDIN_LIMIT = 1 << 20,
	ENVIRONMENT_LIMIT = 1 << 18,
	ANSWER_LIMIT = 4 << 20,
	PATH_SIZE = 256,
	NETNS_DESCRIPTOR = 3, /* where podnet.oneshot looks for the pod's namespace */
};

/* CNI SPEC.md, "Error" */
enum { INVALID_ENVIRONMENT = 4, IO_FAILURE = 5, DECODING_FAILURE = 6, TRY_AGAIN_LATER = 11, NOT_AVAILABLE = 50 };

/*
 * The installer finds the marker in its copy of this file and rewrites what follows.  Not const and not static:
 * else the compiler may reason from the values that stand here.
 */
struct settings {
	char marker[16];
	char socket[PATH_SIZE];
	char interpreter[PATH_SIZE];
	char spool[PATH_SIZE];
} settings = {"PODNET-SETTINGS", "/run/podnet/podnet.sock", "", "/var/lib/podnet/spool"};

static struct {
	char magic[4];
	int32_t netns_errno;
	uint32_t environment_length;
	uint32_t stdin_length;
	char payload[ENVIRONMENT_LIMIT + STDIN_LIMIT + 1]; /* one more: to see that stdin goes on */
} frame;
static size_t frame_length;

static struct {
	uint32_t status;
	uint32_t length;
	char output[ANSWER_LIMIT];
} answer;

/* ---- the kernel ------------------------------------------------------------------------------------------- */

/* _start hands its stack to start(): argc, the arguments, NULL, the environment, NULL. */
#if defined(__x86_64__)
__asm__(".text\n.global _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");

static long call(long number, long a, long b, long c, long d, long e)
{
	register long rax __asm__("rax") = number;
	register long rdi __asm__("rdi") = a;
	register long rsi __asm__("rsi") = b;
	register long rdx __asm__("rdx") = c;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall"
			 : "+r"(rax)
			 : "r"(rdi), "r"(rsi), "r"(rdx), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return rax;
}
#elif defined(__aarch64__)
__asm__(".text\n.global _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl start\n");

static long call(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
#else
#error "podnet knows the system calls of x86_64 and arm64 only"
#endif

/* A system call by name; returns what the kernel returns: -errno where it failed. */
#define SYS(...) SYS_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYS_PADDED(name, a, b, c, d, e, ...) \
	call(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* Compilers call these by themselves, also in freestanding code; the barriers stop them from doing so in here. */
void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		((char *)to)[i] = ((const char *)from)[i];
		__asm__ volatile("" ::: "memory");
	}
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		((char *)to)[i] = (char)byte;
		__asm__ volatile("" ::: "memory");
	}
	return to;
}

static _Noreturn void leave(int status)
{
	for (;;)
		SYS(exit_group, status);
}

/* ---- text ------------------------------------------------------------------------------------------------- */

static size_t length_of(const char *text)
{
	size_t length = 0;
	while (text[length] != '\0')
		length++;
	return length;
}

static bool same(const char *one, const char *other)
{
	while (*one != '\0' && *one == *other) {
		one++;
		other++;
	}
	return *one == *other;
}

/* Append `text` at `at`, cut at `end`; return the new place.  There is no NUL behind it. */
static char *append(char *at, const char *end, const char *text)
{
	while (*text != '\0' && at < end)
		*at++ = *text++;
	return at;
}

/* Like append, as the inside of a JSON string: what an attacker puts into a path stays inside the quotes. */
static char *append_quoted(char *at, const char *end, const char *text)
{
	for (; *text != '\0' && end - at >= 2; text++) {
		if (*text == '"' || *text == '\\')
			*at++ = '\\';
		*at++ = *text >= ' ' && *text <= '~' ? *text : '?';
	}
	return at;
}

/* Append `number` in decimal, with zeros before it up to `width` digits. */
static char *append_number(char *at, const char *end, uint64_t number, int width)
{
	char digits[21];
	char *first = digits + sizeof digits - 1;
	*first = '\0';
	for (; number != 0 || width > 0; number /= 10, width--)
		*--first = (char)('0' + number % 10);
	return append(at, end, first);
}

static const char *errno_text(long error)
{
	static char number[16] = "errno ";
	switch (error < 0 ? -error : error) {
	case EACCES: return "EACCES, permission denied";
	case EPERM: return "EPERM, not permitted";
	case ENOENT: return "ENOENT, no such file or folder";
	case ENOTDIR: return "ENOTDIR, not a folder";
	case ELOOP: return "ELOOP, a symbolic link";
	case ENOSPC: return "ENOSPC, no space left";
	case EDQUOT: return "EDQUOT, quota exceeded";
	case EROFS: return "EROFS, read-only file system";
	case EBADF: return "EBADF, not open";
	case EMFILE: return "EMFILE, too many open files";
	case ENOMEM: return "ENOMEM, out of memory";
	default: break;
	}
	*append_number(number + 6, number + sizeof number - 1, (uint64_t)(error < 0 ? -error : error), 1) = '\0';
	return number;
}

/* ---- time, and reading and writing within it ----------------------------------------------------------------- */

static int64_t deadline; /* CLOCK_MONOTONIC, in nanoseconds */

static int64_t clock_nanoseconds(clockid_t clock)
{
	struct timespec time = {0, 0};
	SYS(clock_gettime, clock, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* The time left, at least nothing. */
static struct timespec remaining(void)
{
	int64_t left = deadline - clock_nanoseconds(CLOCK_MONOTONIC);
	if (left < 0)
		left = 0;
	return (struct timespec){left / 1000000000, left % 1000000000};
}

/* Wait until `descriptor` is ready for `events`; false at the deadline. */
static bool ready(int descriptor, short events)
{
	struct pollfd poll = {descriptor, events, 0};
	long count;
	do {
		struct timespec left = remaining();
		count = SYS(ppoll, &poll, 1, &left, NULL, 0);
	} while (count == -EINTR);
	return count != 0; /* an error of poll itself is left for the read or write to meet */
}

/* Write everything; return 0 or -errno. */
static long write_all(int descriptor, const char *bytes, size_t length)
{
	while (length > 0) {
		long count = SYS(write, descriptor, bytes, length);
		if (count == -EAGAIN && ready(descriptor, POLLOUT))
			continue;
		if (count == -EINTR)
			continue;
		if (count < 0)
			return count;
		bytes += count;
		length -= (size_t)count;
	}
	return 0;
}

/* Print a CNI error (SPEC.md, "Error") whose message is the pieces in one, and leave with status 1. */
static _Noreturn void fail(int code, const char *const *pieces)
{
	char text[4096];
	const char *end = text + sizeof text - 4; /* room for the closing */
	char *at = append(text, end, "{\"cniVersion\":\"1.0.0\",\"code\":");
	at = append_number(at, end, (uint64_t)code, 1);
	at = append(at, end, ",\"msg\":\"podnet: ");
	for (; *pieces != NULL; pieces++)
		at = append_quoted(at, end, *pieces);
	at = append(at, text + sizeof text, "\"}\n");
	write_all(1, text, (size_t)(at - text));
	leave(1);
}
#define FAIL(code, ...) fail(code, (const char *const[]){__VA_ARGS__, NULL})

/* ---- the request ---------------------------------------------------------------------------------------------- */

/* Put the CNI_ variables into the frame. */
static void take_environment(char *const *environment)
{
	memcpy(frame.magic, "PNF1", sizeof frame.magic); /* not an initialiser: that would put all of it in the file */
	char *at = frame.payload;
	for (; *environment != NULL; environment++) {
		const char *variable = *environment;
		if (variable[0] != 'C' || variable[1] != 'N' || variable[2] != 'I' || variable[3] != '_')
			continue;
		size_t length = length_of(variable) + 1;
		if (length > (size_t)(frame.payload + ENVIRONMENT_LIMIT - at))
			FAIL(INVALID_ENVIRONMENT, "the CNI_ variables take more than 256 KiB; shorten CNI_ARGS");
		memcpy(at, variable, length);
		at += length;
	}
	frame.environment_length = (uint32_t)(at - frame.payload);
}

/* The value of the variable `key` ("CNI_NETNS=") in the frame, or "". */
static const char *variable(const char *key)
{
	const char *at = frame.payload;
	const char *end = at + frame.environment_length;
	size_t length = length_of(key);
	for (; at < end; at += length_of(at) + 1) {
		size_t i = 0;
		while (i < length && at[i] == key[i])
			i++;
		if (i == length)
			return at + length;
	}
	return "";
}

/* Put all of stdin into the frame: the runtime may wait for that before it reads anything. */
static void take_stdin(void)
{
	char *start = frame.payload + frame.environment_length;
	size_t length = 0;
	for (;;) {
		if (!ready(0, POLLIN))
			FAIL(DECODING_FAILURE, "standard input was not closed in time; a runtime writes the network "
					       "configuration to it and closes it");
		long count = SYS(read, 0, start + length, STDIN_LIMIT + 1 - length);
		if (count == 0)
			break;
		if (count == -EINTR || count == -EAGAIN)
			continue;
		if (count < 0)
			FAIL(IO_FAILURE, "cannot read the network configuration from standard input: ",
			     errno_text(count));
		length += (size_t)count;
		if (length > STDIN_LIMIT)
			FAIL(DECODING_FAILURE, "the network configuration on standard input is longer than 1 MiB; "
					       "make it shorter");
	}
	frame.stdin_length = (uint32_t)length;
	frame_length = offsetof(__typeof__(frame), payload) + frame.environment_length + length;
}

/* Open CNI_NETNS for the verbs that have one; note the errno in the frame where that fails. */
static int open_netns(const char *command)
{
	const char *path = variable("CNI_NETNS=");
	if (*path == '\0' || !(same(command, "ADD") || same(command, "DEL") || same(command, "CHECK")))
		return -1;
	long descriptor = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (descriptor >= 0)
		return (int)descriptor;
	frame.netns_errno = (int32_t)-descriptor;
	return -1;
}

/* ---- with a daemon -------------------------------------------------------------------------------------------- */

/* Connect to the daemon; -1 where nobody listens. */
static int connect_daemon(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = length_of(settings.socket);
	if (length >= sizeof address.sun_path)
		FAIL(IO_FAILURE, "the socket path ", settings.socket,
		     " is longer than a unix socket's may be; install the plugin again with a shorter one");
	memcpy(address.sun_path, settings.socket, length);

	long descriptor = SYS(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		FAIL(IO_FAILURE, "cannot make a unix socket: ", errno_text(descriptor));
	/* A full backlog makes connect(2) wait in the kernel, for as long as SO_SNDTIMEO says. */
	struct timespec left = remaining();
	struct timeval limit = {left.tv_sec, left.tv_nsec / 1000 + 1};
	SYS(setsockopt, descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);

	long error;
	do {
		error = SYS(connect, descriptor, &address, sizeof address);
	} while (error == -EINTR);
	if (error == 0)
		return (int)descriptor;
	SYS(close, descriptor);
	if (error == -ENOENT || error == -ECONNREFUSED)
		return -1;
	if (error == -EAGAIN)
		FAIL(TRY_AGAIN_LATER, "the daemon behind ", settings.socket,
		     " is too busy to take a connection; ask again");
	FAIL(IO_FAILURE, "cannot connect to the daemon's socket ", settings.socket, ": ", errno_text(error),
	     "; the plugin must run as root, and the path must lead to the socket of `podnet node run`");
}

/* Send the frame, the namespace beside its first byte.  A daemon that hangs up may have answered: no error here. */
static void send_frame(int daemon, int netns)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec rest = {&frame, frame_length};
	struct msghdr message = {.msg_iov = &rest, .msg_iovlen = 1};
	if (netns >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), &netns, sizeof netns);
	}
	while (rest.iov_len > 0) {
		long count = SYS(sendmsg, daemon, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (count == -EAGAIN && !ready(daemon, POLLOUT))
			FAIL(TRY_AGAIN_LATER, "the daemon did not read the request in time; ask again");
		if (count == -EAGAIN || count == -EINTR)
			continue;
		if (count < 0)
			return;
		rest.iov_base = (char *)rest.iov_base + count;
		rest.iov_len -= (size_t)count;
		message.msg_control = NULL;
		message.msg_controllen = 0;
	}
}

/* Receive exactly `length` bytes of the answer. */
static void receive(int daemon, void *bytes, size_t length)
{
	while (length > 0) {
		if (!ready(daemon, POLLIN))
			FAIL(TRY_AGAIN_LATER, "the daemon did not answer in time; ask again, and see the daemon's log");
		long count = SYS(read, daemon, bytes, length);
		if (count == -EINTR || count == -EAGAIN)
			continue;
		if (count <= 0)
			FAIL(TRY_AGAIN_LATER, "the daemon went away before it had answered; ask again");
		bytes = (char *)bytes + count;
		length -= (size_t)count;
	}
}

/* Print the daemon's answer, whole or not at all, and leave with its status. */
static _Noreturn void relay_answer(int daemon)
{
	receive(daemon, &answer, offsetof(__typeof__(answer), output));
	if (answer.length > ANSWER_LIMIT)
		FAIL(IO_FAILURE, "the daemon's answer is longer than 4 MiB: plugin and daemon are of different "
				 "versions; install the plugin again");
	receive(daemon, answer.output, answer.length);
	if (write_all(1, answer.output, answer.length) < 0)
		leave(1);
	leave(answer.status <= 255 ? (int)answer.status : 1); /* 256 must not become 0 */
}

/* ---- without one ------------------------------------------------------------------------------------------------ */

/* Become the named interpreter with the frame as its standard input; returns where that cannot be done. */
static void become_oneshot(int netns)
{
	char socket[sizeof "PODNET_SOCKET=" + PATH_SIZE];
	char *end = append(socket, socket + sizeof socket - 1, "PODNET_SOCKET=");
	*append(end, socket + sizeof socket - 1, settings.socket) = '\0';
	char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", socket, NULL};
	char *arguments[] = {settings.interpreter, "-I", "-m", "podnet.oneshot", NULL};

	long memory = SYS(memfd_create, "podnet-frame", MFD_CLOEXEC);
	if (memory < 0 || write_all((int)memory, (const char *)&frame, frame_length) < 0)
		return;
	SYS(lseek, memory, 0, SEEK_SET);
	/* A copy elsewhere first: the namespace may be descriptor 3 already, and dup3 refuses to copy onto itself. */
	long copy = netns >= 0 ? SYS(fcntl, netns, F_DUPFD_CLOEXEC, NETNS_DESCRIPTOR + 1) : -1;
	SYS(dup3, memory, 0, 0);
	if (copy >= 0)
		SYS(dup3, copy, NETNS_DESCRIPTOR, 0);
	else
		SYS(close, NETNS_DESCRIPTOR);
	SYS(execve, settings.interpreter, arguments, environment);
}

/* Make the spool folder where it is missing, and each folder above it; return a descriptor or -errno. */
static long open_spool(void)
{
	char path[PATH_SIZE];
	bool made = false;
	for (size_t i = 0; i < PATH_SIZE - 1; i++) {
		path[i] = settings.spool[i];
		if (i == 0 || (path[i] != '/' && path[i] != '\0'))
			continue;
		path[i] = '\0';
		made |= SYS(mkdirat, AT_FDCWD, path, 0700) == 0;
		if (settings.spool[i] == '\0')
			break;
		path[i] = '/';
	}
	long folder = SYS(openat, AT_FDCWD, settings.spool, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return folder;
	if (made)
		SYS(syncfs, folder); /* rare: the new folders' own entries are to survive, too */
	/* What lies here is obeyed by root's daemon: nobody else may put anything in. */
	struct statx status = {0};
	long error = SYS(statx, folder, "", AT_EMPTY_PATH, STATX_UID | STATX_MODE, &status);
	if (error == 0 && status.stx_uid != (uint32_t)SYS(geteuid, 0))
		error = -EPERM;
	if (error == 0 && (status.stx_mode & 077) != 0)
		error = SYS(fchmod, folder, 0700);
	return error < 0 ? error : folder;
}

/* Write the frame into the spool so that it survives a power loss: a DEL is a promise.  Returns 0 or -errno. */
static long spool_frame(void)
{
	long folder = open_spool();
	if (folder < 0)
		return folder;
	char name[64]; /* its order is the order of the requests; the pid tells two of one nanosecond apart */
	char *at = append_number(name, name + 32, (uint64_t)clock_nanoseconds(CLOCK_REALTIME), 20);
	at = append(at, name + 33, "-");
	at = append_number(at, name + 48, (uint64_t)SYS(getpid, 0), 1);
	char temporary[64];
	memcpy(temporary, name, sizeof name);
	*append(temporary + (at - name), temporary + 63, ".tmp") = '\0';
	*append(at, name + 63, ".frame") = '\0';

	long file = SYS(openat, folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		return file;
	long error = write_all((int)file, (const char *)&frame, frame_length);
	if (error == 0)
		error = SYS(fsync, file);
	if (error == 0)
		error = SYS(renameat, folder, temporary, folder, name);
	if (error == 0)
		error = SYS(fsync, folder);
	else
		SYS(unlinkat, folder, temporary, 0);
	return error;
}

/* Answer `command` with no daemon and no interpreter. */
static _Noreturn void answer_alone(const char *command)
{
	if (same(command, "VERSION")) {
		static const char versions[] =
			"{\"cniVersion\":\"1.1.0\",\"supportedVersions\":"
			"[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";
		leave(write_all(1, versions, sizeof versions - 1) < 0 ? 1 : 0);
	}
	if (same(command, "DEL")) {
		long error = spool_frame();
		if (error == 0)
			leave(0);
		FAIL(IO_FAILURE, "no daemon listens on ", settings.socket, ", and the request cannot be kept in ",
		     settings.spool, " for it: ", errno_text(error),
		     "; start `podnet node run`, or make that a folder of root's with space in it");
	}
	if (same(command, "STATUS"))
		FAIL(NOT_AVAILABLE, "no daemon listens on ", settings.socket, "; start `podnet node run`");
	if (!same(command, "ADD") && !same(command, "CHECK") && !same(command, "GC"))
		FAIL(INVALID_ENVIRONMENT, "CNI_COMMAND is ", command,
		     "; it must be ADD, DEL, CHECK, GC, STATUS or VERSION");
	FAIL(TRY_AGAIN_LATER, "no daemon listens on ", settings.socket,
	     *settings.interpreter != '\0' ? " and the interpreter cannot be run: " : "", settings.interpreter,
	     "; start `podnet node run`, then ask again");
}

/* Say what this is to somebody who ran it by hand; a runtime that forgot the variable gets an error. */
static _Noreturn void introduce(void)
{
	static const char line[] = "podnet: a CNI plugin; container runtimes run it, with CNI_COMMAND set and the "
				   "network configuration on standard input (for people: `podnet --help` of podnet's "
				   "own installation)\n";
	char termios[256]; /* the kernel's takes 36 bytes or 44 */
	if (SYS(ioctl, 0, 0x5401 /* TCGETS: descriptor 0 is a terminal */, termios) == 0)
		leave(write_all(1, line, sizeof line - 1) < 0 ? 1 : 0);
	FAIL(INVALID_ENVIRONMENT, "CNI_COMMAND is not set; a runtime sets it to the verb, such as ADD");
}

_Noreturn void start(long *stack)
{
	deadline = clock_nanoseconds(CLOCK_MONOTONIC) + DEADLINE_SECONDS * INT64_C(1000000000);
	take_environment((char *const *)(stack + 1 + stack[0] + 1));
	const char *command = variable("CNI_COMMAND=");
	if (*command == '\0')
		introduce();
	take_stdin();
	int netns = open_netns(command);
	int daemon = connect_daemon();
	if (daemon >= 0) {
		send_frame(daemon, netns);
		relay_answer(daemon);
	}
	if (*settings.interpreter != '\0')
		become_oneshot(netns);
	answer_alone(command);
}
