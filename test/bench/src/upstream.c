/*
 * The MCP server behind every gateway of the benchmark: as cheap as one can be, so that the gateway is what is measured.
 *
 * One thread, epoll, keep-alive, requests with Content-Length only. Echoes the JSON-RPC id. tools/call answers by tool name:
 * small (300 bytes of JSON), medium (32 KB), large (1 MB). GET holds an event stream open. Speaks the legacy era of MCP, or the
 * modern one; lists these tools and as many more as it is told to. Prints its port and serves until it is killed.
 * Usage: upstream [port [legacy|modern [tools]]]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_FDS = 65536, MAX_REQUEST = 1 << 20, HEAD_ROOM = 1024 };

struct connection {
  char *in;
  size_t in_length, in_capacity;
  /* The answer: head, then a shared filling, then a tail. */
  char head[HEAD_ROOM];
  struct iovec out[3];
  int out_count;
};

static struct connection *connections[MAX_FDS];
static char *filling;
static char *tool_list;
static int modern;
#define CONTENT "\"content\":[{\"type\":\"text\",\"text\":\""
#define COMPLETE "\"resultType\":\"complete\","
static const char *result_start = ",\"result\":{" CONTENT;
static const char result_end[] = "\"}]}}";
static int epoll_fd;

static void drop(int fd) {
  struct connection *c = connections[fd];
  connections[fd] = NULL;
  close(fd);
  if (c) {
    free(c->in);
    free(c);
  }
}

static void want(int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/* Writes what is left of the answer. Returns -1 when the peer is gone, 1 when it must wait, 0 when all is written. */
static int flush(int fd, struct connection *c) {
  while (c->out_count > 0) {
    ssize_t written = writev(fd, c->out, c->out_count);
    if (written < 0) return errno == EAGAIN ? 1 : -1;
    size_t left = (size_t)written;
    while (c->out_count > 0 && left >= c->out[0].iov_len) {
      left -= c->out[0].iov_len;
      memmove(&c->out[0], &c->out[1], sizeof(c->out[0]) * (size_t)(c->out_count - 1));
      c->out_count--;
    }
    if (c->out_count > 0) {
      c->out[0].iov_base = (char *)c->out[0].iov_base + left;
      c->out[0].iov_len -= left;
    }
  }
  return 0;
}

/* The raw id of the message: from `"id":` to the next comma or brace outside a string. */
static int find_id(const char *body, size_t length, const char **id) {
  const char *key = memmem(body, length, "\"id\":", 5);
  if (!key) return 0;
  const char *at = key + 5, *end = body + length;
  while (at < end && *at == ' ') at++;
  *id = at;
  if (at < end && *at == '"') {
    const char *close_quote = memchr(at + 1, '"', (size_t)(end - at - 1));
    return close_quote ? (int)(close_quote + 1 - at) : 0;
  }
  while (at < end && *at != ',' && *at != '}') at++;
  return (int)(at - *id);
}

static int has(const char *body, size_t length, const char *text) { return memmem(body, length, text, strlen(text)) != NULL; }

static void answer_small(struct connection *c, const char *status, const char *headers, const char *body) {
  int n = snprintf(c->head, sizeof c->head, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
  c->out[0] = (struct iovec){c->head, (size_t)n};
  c->out_count = 1;
}

static void answer_call(struct connection *c, const char *id, int id_length, size_t total) {
  static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":";
  size_t around = sizeof start - 1 + (size_t)id_length + strlen(result_start) + sizeof result_end - 1;
  size_t fill = total - around;
  int n = snprintf(c->head, sizeof c->head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s%.*s%s", total, start,
                   id_length, id, result_start);
  c->out[0] = (struct iovec){c->head, (size_t)n};
  c->out[1] = (struct iovec){filling, fill};
  c->out[2] = (struct iovec){(void *)result_end, sizeof result_end - 1};
  c->out_count = 3;
}

/* `,"result":{"tools":[…]}}` with the tools of calls and as many more, described as tools are. */
static void make_list(int more) {
  static const char names[3][8] = {"small", "medium", "large"};
  size_t room = 1024 + (size_t)more * 512, at = 0;
  tool_list = malloc(room);
  if (!tool_list) abort();
  at += (size_t)snprintf(tool_list, room, ",\"result\":{%s\"tools\":[", modern ? COMPLETE "\"ttlMs\":0,\"cacheScope\":\"private\"," : "");
  for (int i = 0; i < 3; i++) at += (size_t)snprintf(tool_list + at, room - at, "%s{\"name\":\"%s\",\"inputSchema\":{\"type\":\"object\"}}", i ? "," : "", names[i]);
  for (int i = 0; i < more; i++) {
    at += (size_t)snprintf(tool_list + at, room - at,
                           ",{\"name\":\"tool_%04d\",\"description\":\"Looks up record %d and says what is known of it\",\"inputSchema\":{\"type\":\"object\","
                           "\"properties\":{\"query\":{\"type\":\"string\",\"description\":\"What to look for\"},\"limit\":{\"type\":\"integer\",\"minimum\":1}},"
                           "\"required\":[\"query\"]}}",
                           i, i);
  }
  snprintf(tool_list + at, room - at, "]}}");
}

static void answer_list(struct connection *c, const char *id, int id_length) {
  static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":";
  size_t length = strlen(tool_list);
  int n = snprintf(c->head, sizeof c->head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s%.*s",
                   sizeof start - 1 + (size_t)id_length + length, start, id_length, id);
  c->out[0] = (struct iovec){c->head, (size_t)n};
  c->out[1] = (struct iovec){tool_list, length};
  c->out_count = 2;
}

static void respond(struct connection *c, const char *method, const char *body, size_t length) {
  const char json[] = "Content-Type: application/json\r\n";
  char text[700];
  const char *id = "";
  if (strncmp(method, "GET ", 4) == 0) {
    int n = snprintf(c->head, sizeof c->head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n: \n\n\r\n");
    c->out[0] = (struct iovec){c->head, (size_t)n};
    c->out_count = 1;
    return;
  }
  if (strncmp(method, "DELETE ", 7) == 0) return answer_small(c, "200 OK", "", "");
  int id_length = find_id(body, length, &id);
  if (id_length <= 0 || id_length > 200) return answer_small(c, "202 Accepted", "", "");
  if (has(body, length, "\"tools/call\"")) {
    if (has(body, length, "\"name\":\"large\"")) return answer_call(c, id, id_length, 1 << 20);
    if (has(body, length, "\"name\":\"medium\"")) return answer_call(c, id, id_length, 32 << 10);
    return answer_call(c, id, id_length, 300);
  }
  if (modern && has(body, length, "\"server/discover\"")) {
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{" COMPLETE "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}},"
             "\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}}",
             id_length, id);
    return answer_small(c, "200 OK", json, text);
  }
  if (!modern && has(body, length, "\"initialize\"")) {
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
             "\"serverInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}",
             id_length, id);
    return answer_small(c, "200 OK", "Content-Type: application/json\r\nMcp-Session-Id: bench-session\r\n", text);
  }
  if (has(body, length, "\"tools/list\"")) return answer_list(c, id, id_length);
  snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}", id_length, id);
  answer_small(c, "400 Bad Request", json, text);
}

/* Length of the first whole request in the buffer; 0 when it is not all there. */
static size_t whole_request(struct connection *c, char **body, size_t *body_length) {
  char *end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
  if (!end) return 0;
  *body = end + 4;
  *body_length = 0;
  for (char *line = memmem(c->in, c->in_length, "\r\n", 2); line && line < end; line = memmem(line + 2, (size_t)(end + 2 - line - 2), "\r\n", 2)) {
    if (strncasecmp(line + 2, "content-length:", 15) == 0) *body_length = strtoul(line + 17, NULL, 10);
  }
  size_t total = (size_t)(*body - c->in) + *body_length;
  return total <= c->in_length ? total : 0;
}

/* Answers requests until one answer has to wait. Returns -1 when the connection is over. */
static int serve(int fd, struct connection *c) {
  for (;;) {
    char *body;
    size_t body_length, total = whole_request(c, &body, &body_length);
    if (total == 0) return 0;
    respond(c, c->in, body, body_length);
    memmove(c->in, c->in + total, c->in_length - total);
    c->in_length -= total;
    int state = flush(fd, c);
    if (state < 0) return -1;
    if (state > 0) {
      want(fd, EPOLLOUT);
      return 0;
    }
  }
}

static int take(int fd, struct connection *c) {
  for (;;) {
    if (c->in_capacity - c->in_length < 4096) {
      if (c->in_capacity >= MAX_REQUEST) return -1;
      c->in_capacity = c->in_capacity ? c->in_capacity * 2 : 8192;
      c->in = realloc(c->in, c->in_capacity);
      if (!c->in) abort();
    }
    ssize_t got = read(fd, c->in + c->in_length, c->in_capacity - c->in_length);
    if (got == 0) return -1;
    if (got < 0) return errno == EAGAIN ? 0 : -1;
    c->in_length += (size_t)got;
    if (serve(fd, c) < 0) return -1;
    if (c->out_count > 0) return 0;
  }
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= MAX_FDS) {
      close(fd);
      continue;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[fd] = calloc(1, sizeof(struct connection));
    if (!connections[fd]) abort();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  modern = argc > 2 && strcmp(argv[2], "modern") == 0;
  if (modern) result_start = ",\"result\":{" COMPLETE CONTENT;
  make_list(argc > 3 ? atoi(argv[3]) : 0);
  filling = malloc(1 << 20);
  if (!filling) return 1;
  memset(filling, 'x', 1 << 20);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) {
    perror("upstream");
    return 1;
  }
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(epoll_fd, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(listener);
        continue;
      }
      struct connection *c = connections[fd];
      if (!c) continue;
      int over = (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
      if (!over && (events[i].events & EPOLLOUT) != 0) {
        int state = flush(fd, c);
        if (state == 0) {
          want(fd, EPOLLIN);
          state = serve(fd, c);
        }
        over = state < 0;
      } else if (!over) {
        over = take(fd, c) < 0;
      }
      if (over) drop(fd);
    }
  }
}
