// Loaded before the C library: lets calls on some files fail, as a bad disk does.
// BUILDNET_TEST_FAULTS names a file of one line: ERRNO PART-OF-PATH CALL[,CALL...]; an empty one
// lets everything pass.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int descriptor, const char *call) {
    const char *control = getenv("BUILDNET_TEST_FAULTS");
    if (control == NULL) return 0;
    char line[512], part[256], calls[128], link[64], path[PATH_MAX];
    int number;
    long opened = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (opened < 0) return 0;
    long size = syscall(SYS_read, opened, line, sizeof line - 1);
    syscall(SYS_close, opened);
    if (size <= 0) return 0;
    line[size] = 0;
    if (sscanf(line, "%d %255s %127s", &number, part, calls) != 3) return 0;
    if (strstr(calls, call) == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strstr(path, part) == NULL) return 0;
    errno = number;
    return 1;
}

#define INSTEAD(result, name, call, parameters, ...)              \
    result name parameters {                                      \
        static result (*next) parameters;                         \
        if (next == NULL) next = dlsym(RTLD_NEXT, #name);         \
        return fails(descriptor, call) ? -1 : next(__VA_ARGS__);  \
    }

INSTEAD(ssize_t, write, "write", (int descriptor, const void *data, size_t size),
        descriptor, data, size)
INSTEAD(ssize_t, pwrite, "write", (int descriptor, const void *data, size_t size, off_t at),
        descriptor, data, size, at)
INSTEAD(ssize_t, pwrite64, "write", (int descriptor, const void *data, size_t size, off64_t at),
        descriptor, data, size, at)
INSTEAD(ssize_t, read, "read", (int descriptor, void *data, size_t size),
        descriptor, data, size)
INSTEAD(ssize_t, pread, "read", (int descriptor, void *data, size_t size, off_t at),
        descriptor, data, size, at)
INSTEAD(ssize_t, pread64, "read", (int descriptor, void *data, size_t size, off64_t at),
        descriptor, data, size, at)
INSTEAD(int, fsync, "sync", (int descriptor), descriptor)
INSTEAD(int, fdatasync, "sync", (int descriptor), descriptor)
INSTEAD(int, ftruncate, "truncate", (int descriptor, off_t size), descriptor, size)
INSTEAD(int, ftruncate64, "truncate", (int descriptor, off64_t size), descriptor, size)
