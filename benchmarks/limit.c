/* The limit: what the kernel takes to send one frame to each of many sockets, and nothing else.
 *
 * limit PORT: answers WebSocket handshakes and CONNECT as a Socket.IO server would, and writes the body of every POST
 * to all of them, as one frame made once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_SOCKETS = 1 << 16, MAX_REQUEST = 1 << 16 };

static const char UPGRADED[] =
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	"\x81\x01" "0";
static const char JOINED[] = "\x81\x0d" "40{\"sid\":\"x\"}";
static const char STORED[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

static int members[MAX_SOCKETS], member_count, place_of[MAX_SOCKETS];

static void leave(int fd) {
	int place = place_of[fd];
	if (place) {
		members[place - 1] = members[--member_count];
		place_of[members[place - 1]] = place;
		place_of[fd] = 0;
	}
	close(fd);
}

static void join(int fd) {
	members[member_count++] = fd;
	place_of[fd] = member_count;
	send(fd, JOINED, sizeof JOINED - 1, MSG_NOSIGNAL);
}

static void send_whole(int fd, const char *data, size_t size) {
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			data += sent;
			size -= sent;
		} else if (poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000) <= 0) {
			return;
		}
	}
}

static void publish(const char *body, size_t length) {
	static char frame[MAX_REQUEST + 4];
	frame[0] = (char)0x81;
	frame[1] = 126;
	frame[2] = (char)(length >> 8);
	frame[3] = (char)length;
	memcpy(frame + 4, body, length);
	for (int i = 0; i < member_count; i++)
		send_whole(members[i], frame, length + 4);
}

static void serve(int fd) {
	static char request[MAX_REQUEST + 1];
	ssize_t got = recv(fd, request, MAX_REQUEST, 0);
	if (got <= 0) {
		leave(fd);
		return;
	}
	request[got] = 0;
	if (!memcmp(request, "GET", 3)) {
		send(fd, UPGRADED, sizeof UPGRADED - 1, MSG_NOSIGNAL);
	} else if (!memcmp(request, "POST", 4)) {
		char *body = strstr(request, "\r\n\r\n") + 4;
		publish(body, request + got - body);
		send(fd, STORED, sizeof STORED - 1, MSG_NOSIGNAL);
	} else if (!place_of[fd]) {
		join(fd);
	}
}

int main(int number, char **given) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(number > 1 ? atoi(given[1]) : 0)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int door = socket(AF_INET, SOCK_STREAM, 0), events = epoll_create1(0), yes = 1;
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(door, (struct sockaddr *)&address, sizeof address) < 0 || listen(door, 4096) < 0) {
		perror("limit");
		return 1;
	}
	epoll_ctl(events, EPOLL_CTL_ADD, door, &(struct epoll_event){.events = EPOLLIN, .data.fd = door});
	puts("listening");
	fflush(stdout);
	for (struct epoll_event ready[256];;) {
		int count = epoll_wait(events, ready, 256, -1);
		for (int i = 0; i < count; i++) {
			if (ready[i].data.fd != door) {
				serve(ready[i].data.fd);
				continue;
			}
			int fd = accept(door, NULL, NULL);
			if (fd >= MAX_SOCKETS)
				return 1;
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
			epoll_ctl(events, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
		}
	}
}
