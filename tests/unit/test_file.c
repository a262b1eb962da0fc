/* Files are complete or absent: what is written is read back, a failure leaves the old file and nothing else. */
#include "support.h"

#include "core/file.h"
#include "core/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Number of entries of a folder, hidden ones too. */
static int entries(const char *folder)
{
  DIR *dir = opendir(folder);
  int count = -2; /* . and .. */

  if (!dir) return -1;
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

static void check_content(const char *path, const void *data, size_t bytes)
{
  void *read = NULL;
  size_t got = 0;

  RT_MUST(rt_file_read(path, &read, &got));
  RT_TEST_CHECK(got == bytes && !memcmp(read, data, bytes), "%s: %zu bytes, not %zu", path, got, bytes);
  RT_TEST_CHECK(((char *)read)[got] == 0, "%s: no zero byte at the end", path);
  RT_MUST(PetscFree(read));
}

static void test_write(void)
{
  static char large[3 << 20];
  char path[PETSC_MAX_PATH_LEN];

  for (size_t i = 0; i < sizeof(large); i++) large[i] = (char)(i * 2654435761u >> 20);
  RT_MUST(rt_file_mkdir("w/x//y/"));
  RT_MUST(rt_file_mkdir("w/x/y"));
  RT_MUST(rt_file_join("w/x/y", "a", path, sizeof(path)));
  RT_TEST_CHECK(!strcmp(path, "w/x/y/a"), "%s", path);
  RT_TEST_CHECK(!rt_file_exists(path) && rt_file_exists("w/x"), "what is there");
  RT_MUST(rt_file_write(path, large, sizeof(large)));
  check_content(path, large, sizeof(large));
  RT_MUST(rt_file_write(path, "short", 5));
  check_content(path, "short", 5);
  RT_MUST(rt_file_write(path, NULL, 0));
  check_content(path, "", 0);
  RT_MUST(rt_file_write("here", "in this folder", 14));
  check_content("here", "in this folder", 14);
  RT_TEST_CHECK(entries("w/x/y") == 1, "%d entries", entries("w/x/y"));
  RT_MUST(rt_file_remove(path));
  RT_MUST(rt_file_remove(path));
  RT_TEST_CHECK(!rt_file_exists(path), "removed");
}

static void test_commit(void)
{
  char temporary[PETSC_MAX_PATH_LEN], tight[12];
  FILE *file;

  RT_MUST(rt_file_mkdir("c"));
  RT_MUST(rt_file_write("c/a", "old", 3));
  RT_MUST(rt_file_temporary("c/a", temporary, sizeof(temporary)));
  RT_TEST_CHECK(!strncmp(temporary, "c/.a.tmp-", 9), "%s", temporary);
  file = fopen(temporary, "w");
  fputs("new", file);
  fclose(file);
  check_content("c/a", "old", 3);
  RT_MUST(rt_file_commit(temporary, "c/a"));
  check_content("c/a", "new", 3);
  RT_TEST_CHECK(entries("c") == 1, "%d entries", entries("c"));
  RT_TEST_SAYS(rt_file_commit(temporary, "c/a"), RT_ERR_FAILED, "c/a|No such file");
  check_content("c/a", "new", 3);
  RT_TEST_SAYS(rt_file_temporary("c/a", tight, sizeof(tight)), RT_ERR_FAILED, "c/a|too long");
  RT_TEST_SAYS(rt_file_join("folder", "name", tight, sizeof(tight) - 1), RT_ERR_FAILED, "folder/name|too long");
}

/* A file that cannot be written to its end: the old one stays, no temporary one is left. */
static void test_full(void)
{
  static char large[1 << 20];
  struct rlimit old, small;

  RT_MUST(rt_file_mkdir("f"));
  RT_MUST(rt_file_write("f/a", "old", 3));
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 100000;
  setrlimit(RLIMIT_FSIZE, &small);
  RT_TEST_SAYS(rt_file_write("f/a", large, sizeof(large)), RT_ERR_FAILED, "f/a|cannot be written|File too large");
  setrlimit(RLIMIT_FSIZE, &old);
  check_content("f/a", "old", 3);
  RT_TEST_CHECK(entries("f") == 1, "%d entries", entries("f"));
}

static void test_errors(void)
{
  static char name[PETSC_MAX_PATH_LEN + 10];
  void *data;
  size_t bytes;

  RT_MUST(rt_file_mkdir("e/folder/inside"));
  RT_MUST(rt_file_write("e/file", "x", 1));
  RT_TEST_SAYS(rt_file_write("e/none/a", "x", 1), RT_ERR_FAILED, "e/none/a|No such file");
  RT_TEST_SAYS(rt_file_write("e/file/a", "x", 1), RT_ERR_FAILED, "e/file/a|Not a directory");
  RT_TEST_SAYS(rt_file_write("e/folder", "x", 1), RT_ERR_FAILED, "e/folder|directory");
  RT_TEST_CHECK(entries("e") == 2, "%d entries", entries("e"));
  RT_TEST_SAYS(rt_file_read("e/none", &data, &bytes), RT_ERR_FAILED, "e/none|No such file");
  RT_TEST_SAYS(rt_file_read("e/folder", &data, &bytes), RT_ERR_FAILED, "e/folder|not a file");
  RT_TEST_SAYS(rt_file_mkdir("e/file/sub"), RT_ERR_FAILED, "e/file/sub|Not a directory");
  RT_TEST_SAYS(rt_file_mkdir("e/file"), RT_ERR_FAILED, "e/file");
  RT_TEST_SAYS(rt_file_mkdir(""), RT_ERR_FAILED, "empty");
  memset(name, 'x', sizeof(name) - 1);
  RT_TEST_SAYS(rt_file_mkdir(name), RT_ERR_FAILED, "xxx"); /* so long that the message is cut off */
  RT_TEST_SAYS(rt_file_write(name, "x", 1), RT_ERR_FAILED, "xxx");
  name[300] = 0; /* longer than a name may be */
  RT_TEST_SAYS(rt_file_write(name, "x", 1), RT_ERR_FAILED, "too long");
  RT_TEST_SAYS(rt_file_remove("e/folder"), RT_ERR_FAILED, "e/folder|cannot be removed");
}

/* What processes left: of this host's only those that are gone, of others' what is old. */
static void test_sweep(void)
{
  static const struct {
    const char *name;
    bool here;
    long pid, ago;
    bool stays;
  } left[] = {{".a.nc.tmp-", true, 0, 0, false},    {".a.nc.tmp-", true, 1, 9000, true},
              {".a.nc.tmp-", false, 5, 100, true},  {".a.nc.tmp-", false, 6, 9000, false},
              {".a.tmp-b.tmp-", true, 0, 0, false}, {"a.nc.tmp-", true, 0, 9000, true}};
  char path[512], host[RT_PROCESS_HOST];
  double now, later;
  struct stat status;
  pid_t gone = fork();

  if (!gone) _exit(0);
  waitpid(gone, NULL, 0);
  rt_process_host(host);
  RT_TEST_CHECK(rt_process_gone(host, gone, 0) && !rt_process_gone(host, getpid(), 0), "who is gone");
  RT_TEST_CHECK(!rt_process_gone("elsewhere", gone, 0), "another host's processes are not known");
  RT_MUST(rt_file_mkdir("s"));
  for (int keep = 0; keep < 2; keep++)
    for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++) {
      snprintf(path, sizeof(path), "s/%s%s-%ld", left[i].name, left[i].here ? host : "else-where",
               left[i].pid ? left[i].pid : (long)gone);
      if (keep) {
        RT_TEST_CHECK(rt_file_exists(path) == left[i].stays, "%s", path);
        continue;
      }
      RT_MUST(rt_file_write(path, "x", 1));
      RT_MUST(rt_file_now("s", &now));
      utimensat(AT_FDCWD, path, (struct timespec[]){{(time_t)now - left[i].ago, 0}, {(time_t)now - left[i].ago, 0}}, 0);
      if (i + 1 == sizeof(left) / sizeof(*left)) RT_MUST(rt_file_sweep("s"));
    }
  RT_MUST(rt_file_sweep("nowhere"));
  RT_TEST_CHECK(entries("s") == 3, "%d entries", entries("s"));
  RT_MUST(rt_file_now("s", &now));
  RT_MUST(rt_file_write("s/b", "x", 1));
  RT_TEST_CHECK(!stat("s/b", &status) && rt_file_changed(&status) >= now, "%f before %f", rt_file_changed(&status),
                now);
  RT_MUST(rt_file_now("s", &later));
  RT_TEST_CHECK(later >= rt_file_changed(&status) && later < now + 60, "%f, then %f", now, later);
}

static PetscErrorCode test(int argc, char **argv)
{
  char folder[] = "file-XXXXXX";

  (void)argc;
  (void)argv;
  if (!mkdtemp(folder) || chdir(folder)) return 1;
  test_write();
  test_commit();
  test_full();
  test_errors();
  test_sweep();
  return 0;
}

RT_TEST_MAIN(test)
