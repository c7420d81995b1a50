/* Many Socket.IO clients by WebSocket and their publisher, in one thread: it must cost less than the server under it.
 *
 * swarm PORT PUBLISH_PORT CLIENTS MARKER REQUESTS
 *
 * A client is there once a message begins with MARKER. REQUESTS holds HTTP requests, a NUL behind each, for as many rooms
 * of the same size; "@t" and 19 digits in them become the time of sending.
 * Commands come on standard input, one a line; the answer to each is a line of JSON:
 *   connect AT_ONCE AUTHS   let all clients in, so many at once; client i says line i of the file, which begins anew
 *   flood SECONDS WINDOW    publish as long as fewer than WINDOW publications are not with everybody yet
 *   pace SECONDS RATE BEAT  publish RATE a second; each client sends a heartbeat every BEAT seconds, unless that is 0
 *   vanish                  close all connections
 * Latencies are of every SAMPLE-th client. Engine.IO pings are answered at all times.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PUBLISHERS = 8, SAMPLE = 16, BUFFER = 1 << 20, DIGITS = 19, MAX_SAMPLES = 1 << 20, RETRY_MS = 20 };
enum { STALLED_NS = 30000000000 };

typedef enum { AWAY, CONNECTING, HANDSHAKING, JOINING, LIVE } State;

typedef struct {
	int fd;
	State state;
	char *rest; /* the beginning of a frame of which more is to come */
	int rest_bytes;
	uint64_t beat_at;
} Client;

typedef struct {
	int fd;
	int busy;
	char answer[4096];
	int answer_bytes;
} Publisher;

typedef struct {
	uint32_t *us;
	int number;
} Latencies;

static const char HANDSHAKE[] =
	"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
	"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

static int port, publish_port, client_count, at_once, room_count, auth_count, events;
static const char *marker;
static char **auths, **requests;
static Client *clients;
static Publisher publishers[PUBLISHERS];
static char buffer[BUFFER];
static int live, coming, next_client, retries;
static uint64_t published, delivered, received_bytes;
static Latencies deliveries, beats;

static void fail(const char *format, ...) {
	va_list given;
	va_start(given, format);
	vfprintf(stderr, format, given);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static double cpu_s(void) {
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void note(Latencies *latencies, uint64_t since) {
	if (latencies->number < MAX_SAMPLES)
		latencies->us[latencies->number++] = (now_ns() - since) / 1000;
}

static int by_size(const void *one, const void *other) {
	uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
	return (a > b) - (a < b);
}

static double ms_at(Latencies *latencies, double share) {
	if (!latencies->number)
		return -1;
	qsort(latencies->us, latencies->number, sizeof *latencies->us, by_size);
	return latencies->us[(int)(share * (latencies->number - 1))] / 1e3;
}

static int connected_socket(int to_port, int flags) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to_port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0), yes = 1;
	if (fd < 0)
		fail("socket: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
		fail("connect: %s", strerror(errno));
	return fd;
}

static void watch(int how, int fd, uint32_t what, uint64_t id) {
	struct epoll_event event = {.events = what, .data.u64 = id};
	if (epoll_ctl(events, how, fd, &event) < 0)
		fail("epoll_ctl: %s", strerror(errno));
}

static void say(int fd, const char *text) {
	char frame[4096];
	int length = strlen(text), head = length < 126 ? 6 : 8;
	if (length + head > (int)sizeof frame)
		fail("A message of %d bytes is too long.", length);
	memset(frame, 0, head); /* the mask too */
	frame[0] = (char)0x81;
	frame[1] = (char)(0x80 | (length < 126 ? length : 126));
	if (length >= 126) {
		frame[2] = (char)(length >> 8);
		frame[3] = (char)length;
	}
	memcpy(frame + head, text, length);
	send(fd, frame, length + head, MSG_NOSIGNAL);
}

static void start_client(Client *client) {
	client->fd = connected_socket(port, SOCK_NONBLOCK);
	client->state = CONNECTING;
	coming++;
	watch(EPOLL_CTL_ADD, client->fd, EPOLLOUT, client - clients);
}

static void forget(Client *client) {
	close(client->fd);
	free(client->rest);
	*client = (Client){.fd = -1};
}

static void lose(Client *client) {
	if (client->state == LIVE)
		fail("The server closed the connection of client %ld.", (long)(client - clients));
	forget(client);
	coming--;
	retries++;
}

static void take(Client *client, const char *text, uint64_t length) {
	if (length == 1 && *text == '2') {
		say(client->fd, "3");
	} else if (length > 16 && !memcmp(text, "42[\"notif", 9)) {
		delivered++;
		if ((client - clients) % SAMPLE == 0) {
			const char *time = memmem(text, length, "@t", 2);
			if (time)
				note(&deliveries, strtoull(time + 2, NULL, 10));
		}
	} else if (client->beat_at && length >= 8 && !memcmp(text, "42[\"pong", 8)) {
		note(&beats, client->beat_at);
		client->beat_at = 0;
	} else if (client->state == JOINING && length >= strlen(marker) && !memcmp(text, marker, strlen(marker))) {
		client->state = LIVE;
		live++;
		coming--;
	}
}

/* Takes the whole frames; how many bytes those are. */
static int take_frames(Client *client, const unsigned char *data, int size) {
	int done = 0;
	while (size - done >= 2) {
		const unsigned char *frame = data + done;
		uint64_t length = frame[1], head = 2;
		if (length == 126 || length == 127) {
			head = length == 126 ? 4 : 10;
			if ((uint64_t)(size - done) < head)
				break;
			length = 0;
			for (uint64_t i = 2; i < head; i++)
				length = length << 8 | frame[i];
		}
		if (head + length > (uint64_t)(size - done))
			break;
		if (frame[0] == 0x81)
			take(client, (const char *)frame + head, length);
		done += head + length;
	}
	return done;
}

static void read_client(Client *client) {
	int kept = client->rest_bytes;
	if (kept) {
		memcpy(buffer, client->rest, kept);
		free(client->rest);
		client->rest = NULL;
		client->rest_bytes = 0;
	}
	ssize_t got = recv(client->fd, buffer + kept, BUFFER - kept - 1, 0);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			lose(client);
		return;
	}
	received_bytes += got;
	int size = kept + got, done = 0;
	if (client->state == HANDSHAKING) {
		buffer[size] = 0;
		char *end = strstr(buffer, "\r\n\r\n");
		if (end) {
			if (memcmp(buffer + 9, "101", 3)) {
				lose(client);
				return;
			}
			done = end + 4 - buffer;
			say(client->fd, auths[(client - clients) % auth_count]);
			client->state = JOINING;
		}
	}
	if (client->state != HANDSHAKING)
		done += take_frames(client, (unsigned char *)buffer + done, size - done);
	if (done < size) {
		client->rest_bytes = size - done;
		client->rest = malloc(client->rest_bytes);
		memcpy(client->rest, buffer + done, client->rest_bytes);
	}
}

static void serve_client(Client *client, uint32_t what) {
	if (client->state != CONNECTING) {
		read_client(client);
	} else if (what & (EPOLLERR | EPOLLHUP)) {
		lose(client);
	} else {
		send(client->fd, HANDSHAKE, sizeof HANDSHAKE - 1, MSG_NOSIGNAL);
		client->state = HANDSHAKING;
		watch(EPOLL_CTL_MOD, client->fd, EPOLLIN, client - clients);
	}
}

static void serve_publisher(Publisher *publisher) {
	int room = sizeof publisher->answer - publisher->answer_bytes - 1;
	ssize_t got = recv(publisher->fd, publisher->answer + publisher->answer_bytes, room, 0);
	if (got <= 0)
		fail("The server closed the connection of a publisher.");
	publisher->answer_bytes += got;
	publisher->answer[publisher->answer_bytes] = 0;
	char *end = strstr(publisher->answer, "\r\n\r\n"), *length = strcasestr(publisher->answer, "content-length:");
	if (!end || (length && publisher->answer_bytes < end + 4 - publisher->answer + atoi(length + 15)))
		return;
	if (publisher->answer[9] != '2')
		fail("A publish was answered: %s", publisher->answer);
	publisher->busy = publisher->answer_bytes = 0;
}

static void turn(int timeout_ms) {
	struct epoll_event ready[512];
	int number = epoll_wait(events, ready, 512, timeout_ms);
	for (int i = 0; i < number; i++) {
		uint64_t id = ready[i].data.u64;
		if (id < (uint64_t)client_count)
			serve_client(&clients[id], ready[i].events);
		else if (id < (uint64_t)client_count + PUBLISHERS)
			serve_publisher(&publishers[id - client_count]);
	}
}

static int publish(uint64_t due_ns) {
	for (int i = 0; i < PUBLISHERS; i++) {
		if (publishers[i].busy)
			continue;
		char *request = requests[published % room_count], *place = strstr(request, "@t"), digits[DIGITS + 1];
		if (place) {
			snprintf(digits, sizeof digits, "%019llu", (unsigned long long)due_ns);
			memcpy(place + 2, digits, DIGITS);
		}
		publishers[i].busy = 1;
		published++;
		if (send(publishers[i].fd, request, strlen(request), MSG_NOSIGNAL) < 0)
			fail("A publish could not be sent: %s", strerror(errno));
		return 1;
	}
	return 0;
}

static char *content_of(const char *path, size_t *size) {
	FILE *file = fopen(path, "r");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	fseek(file, 0, SEEK_END);
	*size = ftell(file);
	rewind(file);
	char *content = calloc(1, *size + 1);
	if (fread(content, 1, *size, file) != *size)
		fail("%s: cannot be read", path);
	fclose(file);
	return content;
}

/* The parts of a file, each ended by `end`. */
static char **parts_of(const char *path, char end, int *number) {
	size_t size;
	char *content = content_of(path, &size), **parts = NULL;
	for (char *part = content, *stop; part < content + size; part = stop + 1) {
		if (!(stop = memchr(part, end, content + size - part)))
			fail("%s: an end is missing", path);
		*stop = 0;
		parts = realloc(parts, (*number + 1) * sizeof *parts);
		parts[(*number)++] = part;
	}
	if (!*number)
		fail("%s: empty", path);
	return parts;
}

static void connect_all(const char *path) {
	auth_count = 0;
	auths = parts_of(path, '\n', &auth_count);
	double cpu = cpu_s();
	uint64_t began = now_ns(), retry_at = 0;
	retries = next_client = 0;
	while (live < client_count) {
		while (coming < at_once && next_client < client_count)
			start_client(&clients[next_client++]);
		turn(RETRY_MS);
		if (next_client == client_count && now_ns() > retry_at) {
			for (int i = 0; i < client_count && coming < at_once; i++)
				if (clients[i].state == AWAY)
					start_client(&clients[i]);
			retry_at = now_ns() + RETRY_MS * 1000000ull;
		}
		if (now_ns() - began > 10ull * STALLED_NS)
			fail("Only %d of %d clients are there.", live, client_count);
	}
	printf("{\"clients\": %d, \"seconds\": %.6f, \"retries\": %d, \"cpu_s\": %.6f}\n", live, (now_ns() - began) / 1e9,
	       retries, cpu_s() - cpu);
}

static void run(double seconds, int window, double rate, double beat_s) {
	uint64_t began = now_ns(), ends = began + seconds * 1e9, room_size = client_count / room_count, moved = began;
	uint64_t due = began, beat_due = began, beaten = 0, seen = 0;
	double cpu = cpu_s();
	published = delivered = received_bytes = deliveries.number = beats.number = 0;
	for (;;) {
		uint64_t now = now_ns();
		if (now < ends && window)
			while ((published < (uint64_t)window || delivered >= (published - window + 1) * room_size) && publish(now_ns()))
				;
		while (rate > 0 && due <= now && due < ends && publish(due))
			due += 1e9 / rate;
		while (beat_s > 0 && beat_due <= now && now < ends) {
			Client *client = &clients[beaten++ % client_count];
			client->beat_at = now;
			say(client->fd, "42[\"ping\",{\"type\":\"ping\",\"timestamp\":1700000000000}]");
			beat_due += beat_s * 1e9 / client_count;
		}
		if (now >= ends && delivered >= published * room_size)
			break;
		if (delivered != seen) {
			seen = delivered;
			moved = now;
		}
		if (now - moved > STALLED_NS && now > ends)
			fail("Of %llu deliveries %llu came.", (unsigned long long)(published * room_size),
			     (unsigned long long)delivered);
		turn(1);
	}
	if (delivered != published * room_size)
		fail("%llu deliveries of %llu publications.", (unsigned long long)delivered, (unsigned long long)published);
	printf("{\"published\": %llu, \"delivered\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"cpu_s\": %.6f, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"beat_p50_ms\": %.3f, \"beat_max_ms\": %.3f}\n",
	       (unsigned long long)published, (unsigned long long)delivered, (unsigned long long)received_bytes,
	       (now_ns() - began) / 1e9, cpu_s() - cpu, ms_at(&deliveries, .5), ms_at(&deliveries, .99), ms_at(&beats, .5),
	       ms_at(&beats, 1));
	for (int i = 0; i < PUBLISHERS; i++)
		while (publishers[i].busy)
			turn(1);
}

static void vanish(void) {
	for (int i = 0; i < client_count; i++)
		forget(&clients[i]);
	printf("{\"clients\": %d}\n", live);
	live = 0;
}

static void obey(const char *command) {
	double seconds, rate, beat_s;
	int window;
	char path[256];
	if (sscanf(command, "connect %d %255s", &at_once, path) == 2)
		connect_all(path);
	else if (!strcmp(command, "vanish\n"))
		vanish();
	else if (sscanf(command, "flood %lf %d", &seconds, &window) == 2)
		run(seconds, window, 0, 0);
	else if (sscanf(command, "pace %lf %lf %lf", &seconds, &rate, &beat_s) == 3)
		run(seconds, 0, rate, beat_s);
	else
		fail("Not a command: %s", command);
	fflush(stdout);
}

int main(int number, char **given) {
	if (number != 6)
		fail("swarm PORT PUBLISH_PORT CLIENTS MARKER REQUESTS");
	port = atoi(given[1]);
	publish_port = atoi(given[2]);
	client_count = atoi(given[3]);
	marker = given[4];
	requests = parts_of(given[5], 0, &room_count);
	clients = calloc(client_count, sizeof *clients);
	for (int i = 0; i < client_count; i++)
		clients[i].fd = -1;
	deliveries.us = malloc(MAX_SAMPLES * sizeof *deliveries.us);
	beats.us = malloc(MAX_SAMPLES * sizeof *beats.us);
	events = epoll_create1(0);
	for (int i = 0; i < PUBLISHERS; i++) {
		publishers[i].fd = connected_socket(publish_port, 0);
		watch(EPOLL_CTL_ADD, publishers[i].fd, EPOLLIN, client_count + i);
	}
	watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, client_count + PUBLISHERS);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	for (char command[256];;) {
		ssize_t got = read(STDIN_FILENO, command, sizeof command - 1);
		if (got == 0)
			return 0;
		if (got > 0) {
			command[got] = 0;
			obey(command);
		} else {
			turn(1000);
		}
	}
}
