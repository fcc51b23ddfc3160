// What checkpoint tests freeze and move: a listening socket, two threads, touched memory, a file that is appended to.
//
//   counter-server [MIB] [FILE]      default: 16 /counter.log
//
// Any connection to port 8080 is answered over HTTP with the counter, which grows by one every second.
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long counter;
static int file;

static void end(int signal) { (void)signal; _exit(0); }

static void *count(void *unused) {
  for (;;) {
    sleep(1);
    dprintf(file, "%ld\n", atomic_fetch_add(&counter, 1) + 1);
  }
  return unused;
}

static int problem(const char *what) {
  perror(what);
  return 1;
}

int main(int argc, char **argv) {
  // As process 1 of a container it would not be ended by a signal that it does not handle.
  signal(SIGTERM, end);
  signal(SIGPIPE, SIG_IGN);
  size_t size = (argc > 1 ? strtoul(argv[1], 0, 10) : 16) << 20;
  if (size > 0) {
    unsigned long *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return problem("mmap");
    // Every word differs: pages that are equal, or zero, would be stored for nothing.
    for (size_t word = 0; word < size / sizeof *memory; word++) memory[word] = word * 0x9E3779B97F4A7C15UL + 1;
  }
  file = open(argc > 2 ? argv[2] : "/counter.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file < 0) return problem("open");
  int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  if (bind(server, (struct sockaddr *)&address, sizeof address) < 0) return problem("bind 8080");
  if (listen(server, 64) < 0) return problem("listen 8080");
  pthread_t thread;
  if (pthread_create(&thread, 0, count, 0) != 0) return problem("pthread_create");
  for (;;) {
    int client = accept(server, 0, 0);
    if (client < 0) continue;
    char request[1024], body[32];
    if (read(client, request, sizeof request) > 0) {
      int length = snprintf(body, sizeof body, "%ld\n", atomic_load(&counter));
      dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", length, body);
    }
    close(client);
  }
}
