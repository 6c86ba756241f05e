/* Makes chosen calls fail below a folder, as weak file systems do.
 *
 * WEAK_CALLS: calls and error numbers, as in "fsync_folder=22 flock=37"; WEAK_BELOW: the folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Return the error number of a call, or 0 if it is to work. */
static int chosen(const char *call) {
  const char *calls = getenv("WEAK_CALLS");
  size_t length = strlen(call);
  for (const char *at = calls; at && (at = strstr(at, call)); at += length)
    if ((at == calls || at[-1] == ' ') && at[length] == '=') return atoi(at + length + 1);
  return 0;
}

static int is_below(const char *path) {
  const char *below = getenv("WEAK_BELOW");
  char whole[2 * PATH_MAX];
  char folder[PATH_MAX];
  if (!below) return 0;
  if (path[0] != '/') {
    if (!getcwd(folder, sizeof folder)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    path = whole;
  }
  return !strncmp(path, below, strlen(below));
}

static int is_open_below(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int is_folder(int fd) {
  struct stat facts;
  return !fstat(fd, &facts) && S_ISDIR(facts.st_mode);
}

static int fails(const char *call, int below) {
  int code = below ? chosen(call) : 0;
  if (code) errno = code;
  return code != 0;
}

int fsync(int fd) {
  if (fails(is_folder(fd) ? "fsync_folder" : "fsync", is_open_below(fd))) return -1;
  return REAL(fsync)(fd);
}

int flock(int fd, int operation) {
  if (fails("flock", is_open_below(fd))) return -1;
  return REAL(flock)(fd, operation);
}

static int rename_fails(const char *old, const char *new) {
  struct stat facts;
  int below = is_below(new);
  if (!lstat(old, &facts) && S_ISDIR(facts.st_mode) && fails("rename_folder", below)) return 1;
  return fails("rename", below) || (!lstat(new, &facts) && fails("replace", below));
}

int rename(const char *old, const char *new) {
  return rename_fails(old, new) ? -1 : REAL(rename)(old, new);
}

int renameat(int from, const char *old, int to, const char *new) {
  return rename_fails(old, new) ? -1 : REAL(renameat)(from, old, to, new);
}

int link(const char *old, const char *new) {
  return fails("link", is_below(new)) ? -1 : REAL(link)(old, new);
}

int symlink(const char *old, const char *new) {
  return fails("symlink", is_below(new)) ? -1 : REAL(symlink)(old, new);
}

int chmod(const char *path, mode_t mode) {
  return fails("chmod", is_below(path)) ? -1 : REAL(chmod)(path, mode);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
  if (fails("utime", is_below(path))) return -1;
  return REAL(utimensat)(folder, path, times, flags);
}

int ftruncate(int fd, off_t length) {
  return fails("truncate", is_open_below(fd)) ? -1 : REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) {
  return fails("truncate", is_open_below(fd)) ? -1 : REAL(ftruncate64)(fd, length);
}

int access(const char *path, int mode) {
  return fails("access", is_below(path)) ? -1 : REAL(access)(path, mode);
}

static int has_long_name(const char *path) {
  const char *name = strrchr(path, '/');
  return strlen(name ? name + 1 : path) > 143;
}

/* Names that FAT and SMB refuse. */
static int has_odd_name(const char *path) {
  const char *name = strrchr(path, '/');
  name = name ? name + 1 : path;
  return *name && (strpbrk(name, "\\:*?\"<>|") || strchr(". ", name[strlen(name) - 1]));
}

static int name_fails(const char *path) {
  int below = is_below(path);
  return (has_long_name(path) && fails("long_name", below)) ||
         (has_odd_name(path) && fails("odd_name", below));
}

int mkdir(const char *path, mode_t mode) {
  return name_fails(path) ? -1 : REAL(mkdir)(path, mode);
}

static int open_fails(const char *path, int flags) {
  struct stat facts;
  if (!is_below(path)) return 0;
  if ((flags & O_CREAT) && name_fails(path)) return 1;
  if ((flags & O_APPEND) && fails("append", 1)) return 1;
  return chosen("open_folder") && !stat(path, &facts) && S_ISDIR(facts.st_mode) &&
         fails("open_folder", 1);
}

#define OPEN(name)                                       \
  int name(const char *path, int flags, ...) {           \
    va_list rest;                                        \
    va_start(rest, flags);                               \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                        \
    return open_fails(path, flags) ? -1 : REAL(name)(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && fails("mmap", is_open_below(fd))) return MAP_FAILED;
  return REAL(mmap)(at, length, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
  if (fd >= 0 && fails("mmap", is_open_below(fd))) return MAP_FAILED;
  return REAL(mmap64)(at, length, protection, flags, fd, offset);
}

#define STATVFS(name)                                 \
  int name(const char *path, struct name *facts) {    \
    if (fails("statvfs", is_below(path))) return -1;  \
    int result = ((int (*)(const char *, struct name *))dlsym(RTLD_NEXT, #name))(path, facts); \
    if (is_below(path) && chosen("no_blocks"))        \
      facts->f_blocks = facts->f_bavail = facts->f_bfree = 0; \
    if (is_below(path) && chosen("no_space")) facts->f_bavail = facts->f_bfree = 0; \
    return result;                                    \
  }
STATVFS(statvfs)
STATVFS(statvfs64)
