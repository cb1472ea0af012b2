/* fsync and fdatasync that fail with EIO while a file exists, and say so in another one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int failing(void) {
    const char *order = getenv("WEFT_RIG_EIO");
    char fired[4096];
    int file;
    if (order == NULL || access(order, F_OK) != 0)
        return 0;
    snprintf(fired, sizeof fired, "%s.fired", order);
    file = open(fired, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0)
        close(file);
    errno = EIO;
    return 1;
}

int fsync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return failing() ? -1 : real(file);
}

int fdatasync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return failing() ? -1 : real(file);
}
