/* Loaded before the C library: reads of files whose names end in $BAD_FILE fail where byte $BAD_BYTE is, as on a disk with a bad sector. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512 };

static int is_bad(int file) {
    char link[64], name[4096];
    const char *bad = getenv("BAD_FILE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name);
    size_t end = bad ? strlen(bad) : 0;
    return end && length >= (ssize_t)end && !memcmp(name + length - end, bad, end);
}

ssize_t read(int file, void *buffer, size_t count) {
    if (is_bad(file)) {
        off_t at = lseek(file, 0, SEEK_CUR);
        off_t sector = atol(getenv("BAD_BYTE")) / SECTOR * SECTOR;
        if (at >= sector && at < sector + SECTOR) {
            errno = EIO;
            return -1;
        }
        if (at < sector && (off_t)count > sector - at) {
            count = sector - at;
        }
    }
    return syscall(SYS_read, file, buffer, count);
}
