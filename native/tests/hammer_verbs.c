/*
 * hammer_verbs.c - everything that oh_core.h offers, with whatever arguments its words allow, on whatever port is there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#include "hammer.h"

#define TRACKS 16u /* names of tracks that an asker uses in turn */

/* An answer of a verb on a port: done, the port gone or the core too busy; or a refusal that this verb has. */
static bool answered(struct asker *asker, const char *verb, int answer, int refusal, int other)
{
	if (answer == 0)
		return true;
	if (answer == -ETIMEDOUT)
		(void)atomic_fetch_add(&asker->board->late_answers, 1);
	else if (answer != -ENOENT && answer != refusal && answer != other) {
		fprintf(stderr, "%s answered %d, which oh_core.h does not say\n", verb, answer);
		abort();
	}
	return false;
}

#define DONE(answer)               answered(asker, __func__, answer, 0, 0)
#define DONE_OR(answer, one)       answered(asker, __func__, answer, one, 0)
#define DONE_OR2(answer, one, two) answered(asker, __func__, answer, one, two)

/* --- coming and going */

static bool open_port(struct asker *asker)
{
	_Atomic uint64_t *place = &asker->board->ports[below(&asker->dice, PORTS)];
	uint64_t          none = 0;
	uint32_t          number;
	uint16_t          udp;
	int64_t           opened_ns;

	if (atomic_load(place) != 0)
		return false;
	if (!DONE_OR(oh_port_open(asker->board->core, &number, &udp, &opened_ns), -EADDRINUSE))
		return false;
	CHECK(number != 0 && udp % 2 == 0 && opened_ns > 0);
	if (!atomic_compare_exchange_strong(place, &none, (uint64_t)number << 16 | udp))
		(void)DONE(oh_port_close(asker->board->core, number));
	return true;
}

static bool close_port(struct asker *asker)
{
	uint64_t port;

	if (asker->calm || !one_in(&asker->dice, 2))
		return false;
	port = atomic_exchange(&asker->board->ports[below(&asker->dice, PORTS)], 0);
	return port != 0 && DONE(oh_port_close(asker->board->core, number_of(port)));
}

static bool open_room(struct asker *asker)
{
	_Atomic uint32_t *place = &asker->board->rooms[below(&asker->dice, ROOMS)];
	uint32_t          none = 0, room;

	if (atomic_load(place) != 0 || !DONE(oh_core_room(asker->board->core, &room)))
		return false;
	if (!atomic_compare_exchange_strong(place, &none, room))
		(void)DONE(oh_core_close_room(asker->board->core, room));
	return true;
}

static bool close_room(struct asker *asker)
{
	if (!one_in(&asker->dice, asker->calm ? 50 : 10))
		return false;
	return DONE(oh_core_close_room(asker->board->core,
	                               atomic_exchange(&asker->board->rooms[below(&asker->dice, ROOMS)], 0)));
}

static bool load_prompt(struct asker *asker)
{
	int16_t  sound[8000];
	uint32_t number, n = 1u + below(&asker->dice, 8000);

	if (!one_in(&asker->dice, 8))
		return false;
	number = atomic_fetch_add(&asker->board->next_prompt, 1) + 1u;
	for (uint32_t i = 0; i < n; i++)
		sound[i] = (int16_t)(noise(&asker->dice.state) >> 18);
	if (!DONE(oh_prompt_load(asker->board->core, number, sound, n, one_in(&asker->dice, 2) ? 8000 : 16000)))
		return false;
	number = atomic_exchange(&asker->board->prompts[below(&asker->dice, PROMPTS)], number);
	return number == 0 || DONE(oh_prompt_drop(asker->board->core, number));
}

static bool attach(struct asker *asker)
{
	uint32_t segment;

	return one_in(&asker->dice, 20) &&
	       DONE_OR(oh_core_attach(asker->board->core, asker->board->segment_fd, &segment), -ENOSPC);
}

/* --- whom a port talks to */

/* Another port of the core, or a socket of the senders'. */
static void somewhere(struct asker *asker, uint32_t *ip, uint16_t *udp)
{
	uint64_t                  port = below(&asker->dice, 5) < 3 ? any_port(asker->board, &asker->dice) : 0;
	const struct sockaddr_in *far = &asker->board->far[below(&asker->dice, OWN_FAR)];

	*ip = port != 0 ? htonl(INADDR_LOOPBACK) : far->sin_addr.s_addr;
	*udp = port != 0 ? udp_of(port) : ntohs(far->sin_port);
}

static const struct {
	enum oh_codec codec;
	uint8_t       pt;
} codecs[] = {{OH_CODEC_ULAW, 0}, {OH_CODEC_ALAW, 8}, {OH_CODEC_OPUS, 111}, {OH_CODEC_OPUS, 96}, {OH_CODEC_ULAW, 96}};

static struct oh_remote any_remote(struct asker *asker)
{
	static const uint16_t lengths_ms[] = {10, 20, 20, 20, 30, 40, 60};
	struct dice          *dice = &asker->dice;
	uint32_t              codec = below(dice, sizeof(codecs) / sizeof(*codecs));
	struct oh_remote      remote = {
	             .codec = codecs[codec].codec,
	             .audio_pt = codecs[codec].pt,
	             .digits_pt = one_in(dice, 3) ? -1 : 101,
	             .digits_rate_hz = one_in(dice, 2) ? 8000 : 48000,
	             .packet_ms = lengths_ms[below(dice, 7)],
	             .send = !one_in(dice, 10),
	             .receive = !one_in(dice, 10),
	             .rtcp_mux = one_in(dice, 3),
	             .dtx = one_in(dice, 3),
	             .secure = one_in(dice, 4),
        };

	somewhere(asker, &remote.ip, &remote.rtp_port);
	remote.rtcp_port = one_in(dice, 4) ? 0 : (uint16_t)(remote.rtp_port + 1u);
	return remote;
}

static bool point(struct asker *asker)
{
	struct oh_remote remote = any_remote(asker);

	return DONE_OR(oh_port_remote(asker->board->core, number_of(any_port(asker->board, &asker->dice)), &remote), -EINVAL);
}

/* Few keys, so that they come back, and so that both ends may have the same. */
static struct oh_srtp_keys any_keys(struct dice *dice)
{
	struct oh_srtp_keys keys = {.suite = (enum oh_srtp_suite)(1u + below(dice, 4))};

	memset(keys.send, (int)below(dice, 3), sizeof(keys.send));
	memset(keys.receive, (int)below(dice, 3), sizeof(keys.receive));
	return keys;
}

static bool key(struct asker *asker)
{
	struct oh_srtp_keys keys = any_keys(&asker->dice);
	uint32_t            port = number_of(any_port(asker->board, &asker->dice));

	return DONE(oh_port_keys(asker->board->core, port, one_in(&asker->dice, 5) ? NULL : &keys));
}

/* Two ports that really talk to each other: encrypted or not, by ICE or not, in any codec. */
static bool pair(struct asker *asker)
{
	struct dice        *dice = &asker->dice;
	struct oh_core     *core = asker->board->core;
	uint64_t            ports[2] = {any_port(asker->board, dice), any_port(asker->board, dice)};
	struct oh_remote    remote = any_remote(asker);
	struct oh_srtp_keys keys = any_keys(dice), theirs = keys;
	bool                ice = one_in(dice, 3), done = true;

	if (ports[0] == 0 || ports[1] == 0 || ports[0] == ports[1])
		return false;
	remote.ip = htonl(INADDR_LOOPBACK);
	remote.send = remote.receive = true;
	remote.secure = one_in(dice, 2);
	memcpy(theirs.send, keys.receive, sizeof(keys.receive));
	memcpy(theirs.receive, keys.send, sizeof(keys.send));
	for (int i = 0; i < 2; i++) {
		uint32_t port = number_of(ports[i]);

		remote.rtp_port = udp_of(ports[1 - i]);
		remote.rtcp_port = (uint16_t)(remote.rtp_port + 1u);
		if (remote.secure)
			done &= DONE(oh_port_keys(core, port, i == 0 ? &keys : &theirs));
		done &= DONE(oh_port_ice(core, port, ice));
		done &= DONE_OR(oh_port_remote(core, port, &remote), -EINVAL);
		if (ice)
			done &= DONE_OR(oh_port_select(core, port, remote.ip, remote.rtp_port), -EINVAL);
	}
	return done;
}

static bool ice(struct asker *asker)
{
	return DONE(oh_port_ice(asker->board->core, number_of(any_port(asker->board, &asker->dice)),
	                        one_in(&asker->dice, 2)));
}

static bool choose(struct asker *asker)
{
	uint32_t ip;
	uint16_t udp;

	somewhere(asker, &ip, &udp);
	return DONE_OR(oh_port_select(asker->board->core, number_of(any_port(asker->board, &asker->dice)), ip,
	                              one_in(&asker->dice, 3) ? 0 : udp),
	               -EINVAL);
}

static bool post(struct asker *asker)
{
	uint8_t  data[OH_DATAGRAM_MAX];
	size_t   len = 1u + below(&asker->dice, one_in(&asker->dice, 4) ? OH_DATAGRAM_MAX : 100u);
	uint32_t ip;
	uint16_t udp;

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)noise(&asker->dice.state);
	data[0] = (uint8_t)(one_in(&asker->dice, 2) ? below(&asker->dice, 4) : 20u + below(&asker->dice, 44));
	somewhere(asker, &ip, &udp);
	return DONE_OR(oh_port_post(asker->board->core, number_of(any_port(asker->board, &asker->dice)), ip, udp, data, len),
	               -ENOBUFS);
}

/* --- slots and rooms */

static bool bind_slot(struct asker *asker)
{
	uint32_t epoch;

	return DONE_OR(oh_port_bind(asker->board->core, number_of(any_port(asker->board, &asker->dice)), asker->board->segment,
	                            below(&asker->dice, SLOTS), &epoch),
	               -EBUSY);
}

static bool unbind_slot(struct asker *asker)
{
	return !asker->calm && DONE(oh_port_unbind(asker->board->core, number_of(any_port(asker->board, &asker->dice))));
}

/* A worker that has gone mad: any cursor of any row, its own or not, is any number. */
static bool scribble(struct asker *asker)
{
	static const uint64_t favourites[] = {0, 1, 2, 3, 320, 16000, 65536, 70000, 1ull << 32, 1ull << 63, UINT64_MAX};
	struct dice          *dice = &asker->dice;
	struct oh_slot_row   *row = (struct oh_slot_row *)(void *)((unsigned char *)asker->board->slots +
                                                                 sizeof(struct oh_slots_header)) +
	                          below(dice, SLOTS);
	_Atomic uint64_t     *words = (_Atomic uint64_t *)(void *)row;
	const size_t          count = offsetof(struct oh_slot_row, listen) / sizeof(*words);

	for (size_t i = 0; i < count; i++) {
		if (one_in(dice, 7))
			atomic_store(&words[i], one_in(dice, 3) ? wide_dice(dice) : favourites[below(dice, 11)]);
	}
	return true;
}

/* One that keeps to the rules, so that there is something to hear and to cut: a row has one writer. */
static bool speak(struct asker *asker)
{
	struct dice        *dice = &asker->dice;
	struct oh_slot_row *row = (struct oh_slot_row *)(void *)((unsigned char *)asker->board->slots +
                                                             sizeof(struct oh_slots_header)) +
	                          asker->number + ASKERS * below(dice, SLOTS / ASKERS);
	uint64_t spoken = atomic_load(&row->spoken);

	atomic_store(&row->speak_epoch, atomic_load(&row->epoch));
	atomic_store(&row->speaking, one_in(dice, 2));
	for (unsigned i = 0; i < OH_HOP_SAMPLES; i++)
		row->play[(spoken + i) % OH_RING_SAMPLES] = (int16_t)(noise(&dice->state) >> 17);
	atomic_store(&row->spoken, spoken + OH_HOP_SAMPLES);
	if (one_in(dice, 4)) {
		atomic_store(&row->cut_before, spoken + below(dice, OH_HOP_SAMPLES));
		(void)atomic_fetch_add(&row->cut_seq, 1);
	}
	return true;
}

static bool enter(struct asker *asker)
{
	struct dice *dice = &asker->dice;

	return DONE_OR2(oh_port_enter(asker->board->core, number_of(any_port(asker->board, dice)),
	                              atomic_load(&asker->board->rooms[below(dice, ROOMS)]), (enum oh_heard_by)below(dice, 4),
	                              number_of(any_port(asker->board, dice))),
	                -ENOSPC, -EAGAIN);
}

static bool be_heard(struct asker *asker)
{
	struct dice *dice = &asker->dice;

	return DONE_OR(oh_port_heard(asker->board->core, number_of(any_port(asker->board, dice)),
	                             (enum oh_heard_by)below(dice, 4), number_of(any_port(asker->board, dice))),
	               -ENOTCONN);
}

static bool leave(struct asker *asker)
{
	if (asker->calm && !one_in(&asker->dice, 10))
		return false;
	return DONE(oh_port_leave_rooms(asker->board->core, number_of(any_port(asker->board, &asker->dice))));
}

static bool bridge(struct asker *asker)
{
	return DONE_OR2(oh_port_bridge(asker->board->core, number_of(any_port(asker->board, &asker->dice)),
	                               number_of(any_port(asker->board, &asker->dice))),
	                -EINVAL, -EAGAIN);
}

/* --- what a port says, and what is kept of it */

static bool play(struct asker *asker)
{
	uint32_t number;

	return DONE_OR(oh_port_play(asker->board->core, number_of(any_port(asker->board, &asker->dice)),
	                            atomic_load(&asker->board->prompts[below(&asker->dice, PROMPTS)]),
	                            one_in(&asker->dice, 2), &number),
	               -ERANGE);
}

static bool stop(struct asker *asker)
{
	return DONE(oh_port_stop(asker->board->core, number_of(any_port(asker->board, &asker->dice))));
}

static bool flush(struct asker *asker)
{
	uint64_t played;

	return DONE(oh_port_flush(asker->board->core, number_of(any_port(asker->board, &asker->dice)), &played));
}

static bool press(struct asker *asker)
{
	return DONE_OR2(oh_port_send_digits(asker->board->core, number_of(any_port(asker->board, &asker->dice)), "12#",
	                                    40u + below(&asker->dice, 300)),
	                -EOPNOTSUPP, -ENOSPC);
}

static void name_track(const struct asker *asker, unsigned which, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/%u-%u-%u.wav", asker->board->folder, asker->number, asker->tracks % TRACKS, which);
}

static bool record(struct asker *asker)
{
	char paths[2][128];

	asker->tracks++;
	for (unsigned i = 0; i < 2; i++) {
		name_track(asker, i, paths[i], sizeof(paths[i]));
		(void)unlink(paths[i]); /* of long ago; it may still be written */
	}
	return DONE_OR(oh_port_record(asker->board->core, number_of(any_port(asker->board, &asker->dice)), paths[0], paths[1]),
	               -EALREADY);
}

static bool pause_tracks(struct asker *asker)
{
	return DONE(oh_port_pause_recording(asker->board->core, number_of(any_port(asker->board, &asker->dice)),
	                                    one_in(&asker->dice, 2)));
}

static bool stop_tracks(struct asker *asker)
{
	return DONE(oh_port_stop_recording(asker->board->core, number_of(any_port(asker->board, &asker->dice))));
}

static bool count(struct asker *asker)
{
	struct oh_core_counters all;
	struct oh_port_counters one;

	if (!DONE(oh_core_counters(asker->board->core, &all)))
		return false;
	CHECK(all.ports <= PORTS + ASKERS);
	return DONE(oh_port_counters(asker->board->core, number_of(any_port(asker->board, &asker->dice)), &one));
}

/* --- all of them */

static struct {
	const char      *name;
	bool            (*run)(struct asker *asker);
	unsigned         weight;
	_Atomic uint64_t asked, done;
} verbs[] = {
        {"open", open_port, 4, 0, 0},     {"close", close_port, 1, 0, 0},     {"room", open_room, 1, 0, 0},
        {"close room", close_room, 1, 0, 0}, {"prompt", load_prompt, 1, 0, 0}, {"attach", attach, 1, 0, 0},
        {"remote", point, 1, 0, 0},       {"keys", key, 1, 0, 0},             {"pair", pair, 5, 0, 0},
        {"ice", ice, 1, 0, 0},            {"select", choose, 1, 0, 0},        {"post", post, 1, 0, 0},
        {"bind", bind_slot, 2, 0, 0},     {"unbind", unbind_slot, 1, 0, 0},   {"scribble", scribble, 1, 0, 0},
        {"speak", speak, 2, 0, 0},        {"enter", enter, 3, 0, 0},          {"heard", be_heard, 2, 0, 0},
        {"leave", leave, 1, 0, 0},        {"bridge", bridge, 2, 0, 0},        {"play", play, 1, 0, 0},
        {"stop", stop, 1, 0, 0},          {"flush", flush, 1, 0, 0},          {"digits", press, 1, 0, 0},
        {"record", record, 1, 0, 0},      {"pause", pause_tracks, 1, 0, 0},   {"stop record", stop_tracks, 1, 0, 0},
        {"counters", count, 1, 0, 0},
};

#define VERBS (sizeof(verbs) / sizeof(*verbs))

void ask(struct asker *asker)
{
	unsigned all = 0, pick;

	for (size_t i = 0; i < VERBS; i++)
		all += verbs[i].weight;
	pick = below(&asker->dice, all);
	for (size_t i = 0; i < VERBS; i++) {
		if (pick < verbs[i].weight) {
			(void)atomic_fetch_add_explicit(&verbs[i].asked, 1, memory_order_relaxed);
			if (verbs[i].run(asker))
				(void)atomic_fetch_add_explicit(&verbs[i].done, 1, memory_order_relaxed);
			return;
		}
		pick -= verbs[i].weight;
	}
}

void clear_board(struct board *board)
{
	for (unsigned i = 0; i < PORTS; i++)
		atomic_store(&board->ports[i], 0);
	for (unsigned i = 0; i < ROOMS; i++)
		atomic_store(&board->rooms[i], 0);
	for (unsigned i = 0; i < PROMPTS; i++)
		atomic_store(&board->prompts[i], 0);
}

void print_verbs(void)
{
	for (size_t i = 0; i < VERBS; i++)
		printf("%s %" PRIu64 "/%" PRIu64 "%s", verbs[i].name, verbs[i].done, verbs[i].asked, i + 1 < VERBS ? ", " : "\n");
}

bool all_done(void)
{
	for (size_t i = 0; i < VERBS; i++) {
		if (verbs[i].done == 0)
			return false;
	}
	return true;
}
