/* Runs a command and tells what it and all its descendants used: run FD COMMAND...
   On FD: exit status, seconds from start to exit, seconds of user and of system CPU, KiB of the largest process.
   A program of its own, because a child inherits the high-water mark of the memory of whoever forked it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    int report = atoi(words[1]), status = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    double begin = now();
    pid_t child = fork();
    if (child == 0) {
        close(report);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(words[2], words + 2);
        _exit(127);
    }
    waitpid(child, &status, 0);
    double end = now();
    while (wait(NULL) > 0) continue; /* children that it left behind count too */
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    dprintf(report, "%d %.6f %.6f %.6f %ld\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), end - begin,
            used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6, used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6, used.ru_maxrss);
    return 0;
}
