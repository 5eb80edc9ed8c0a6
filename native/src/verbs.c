/*
 * verbs.c - what other threads ask of ports: each function of oh_core.h as a command, and what the media thread then does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "engine.h"
#include "oh_amiss.h"
#include "seat.h"

/* --- on the media thread, one for each verb */

static int run_core_counters(struct oh_core *core, struct oh_command *command)
{
	struct oh_core_counters *out = &command->of.core_counters;

	*out = core->counters;
	out->ports = core->open_ports;
	out->pacing_p50_us = oh_pacing_us(&core->pacing, 0.50);
	out->pacing_p99_us = oh_pacing_us(&core->pacing, 0.99);
	out->pacing_max_us = (double)core->pacing.max_ns / 1e3;
	out->amiss = oh_amiss_count();
	out->amiss_where = oh_amiss_where();
	out->events_dropped = atomic_load_explicit(&core->events_dropped, memory_order_relaxed);
	return 0;
}

static int run_attach(struct oh_core *core, struct oh_command *command)
{
	if (core->segment_count == OH_MAX_SEGMENTS)
		return -ENOSPC;
	core->segments[core->segment_count] = *(struct oh_segment *)command->thing;
	command->a = core->segment_count++;
	free(command->thing);
	return 0;
}

static int run_prompt_load(struct oh_core *core, struct oh_command *command)
{
	struct oh_prompt *prompt = command->thing;

	prompt->number = command->a;
	prompt->next = core->prompts;
	core->prompts = prompt;
	return 0;
}

static int run_prompt_drop(struct oh_core *core, struct oh_command *command)
{
	oh_prompt_forget(core, command->a);
	return 0;
}

static int run_open(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = command->thing;
	int             error = oh_port_join(core, port);

	if (error < 0)
		return error;
	command->a = port->number;
	command->wide = (uint64_t)port->opened_ns;
	return 0;
}

static int run_close(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	oh_port_leave(core, port);
	return 0;
}

static int run_remote(struct oh_core *core, struct oh_command *command)
{
	struct oh_port   *port = oh_command_port(core, command);
	struct oh_codecs *codecs = command->thing;

	if (port == NULL)
		return -ENOENT;
	if (port->seat != NULL && codecs->playout == NULL && codecs->decoder.codec != port->listen.decoder.codec)
		return -EAGAIN;
	oh_port_point(port, &command->of.remote, codecs);
	return 0;
}

static int run_bind(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);
	int             error;

	if (port == NULL)
		return -ENOENT;
	error = oh_voice_bind(port, command->a, command->b);
	if (error < 0)
		return error;
	command->a = port->voice.epoch;
	return 0;
}

static int run_unbind(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	oh_voice_leave(port);
	return 0;
}

static int run_play(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	return oh_prompt_start(port, command->a, command->b != 0, &command->a);
}

static int run_stop(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	oh_prompt_cut(port, port->clock);
	return 0;
}

static int run_flush(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	if (port->voice.row != NULL)
		oh_voice_cut(&port->voice, UINT64_MAX, oh_port_sends(port));
	command->wide = port->voice.played;
	return 0;
}

static int run_send_digits(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);
	int             error;

	if (port == NULL)
		return -ENOENT;
	if (!port->have_remote || port->remote.digits_pt < 0)
		return -EOPNOTSUPP;
	error = oh_digits_out_queue(&port->digits_out, command->of.keys, command->a, OH_DIGITS_PAUSE_MS);
	if (error == 0)
		port->pressing = true;
	return error;
}

static int run_rate(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	command->a = oh_codec_rate_hz(port->encoder.codec);
	return 0;
}

static int run_record(struct oh_core *core, struct oh_command *command)
{
	struct oh_port      *port = oh_command_port(core, command);
	struct oh_recording *recording = command->thing;

	if (port == NULL)
		return -ENOENT;
	if (port->recording != NULL)
		return -EALREADY;
	recording->port = port->number;
	recording->opened_ns = port->opened_ns;
	port->recording = recording;
	return 0;
}

static int run_pause(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	if (port->recording != NULL)
		port->recording->paused = command->a != 0;
	return 0;
}

static int run_stop_recording(struct oh_core *core, struct oh_command *command)
{
	struct oh_port *port = oh_command_port(core, command);

	if (port == NULL)
		return -ENOENT;
	oh_recording_end(port);
	return 0;
}

static int run_port_counters(struct oh_core *core, struct oh_command *command)
{
	struct oh_port                  *port = oh_command_port(core, command);
	struct oh_port_counters         *out = &command->of.port_counters;
	const struct oh_listen_counters *heard;
	struct oh_quality_side           whole;
	uint32_t                         rate_hz, clock_hz;

	if (port == NULL)
		return -ENOENT;
	heard = &port->listen.counters;
	rate_hz = oh_codec_rate_hz(port->listen.decoder.codec);
	clock_hz = oh_codec_clock_hz(port->listen.decoder.codec);
	*out = port->counters;
	out->late = heard->late;
	out->lost = heard->lost;
	out->duplicate = heard->duplicate;
	out->reordered = heard->reordered;
	out->concealed = heard->concealed_samples * 8000u / rate_hz;
	out->missing = heard->missing_samples * 8000u / rate_hz;
	out->bad += heard->bad;
	out->waited_ns = heard->waited_ns;
	if (port->seat != NULL)
		oh_seat_count(port->seat, out);
	out->jitter_ms = port->have_source ? oh_rtcp_jitter(&port->source) * 1000.0 / clock_hz : 0.0;
	oh_quality_whole(port, &whole);
	out->mos_lq = whole.mos_lq > 0.0f ? (double)whole.mos_lq : 0.0;
	out->mos_cq = whole.mos_cq > 0.0f ? (double)whole.mos_cq : 0.0;
	return 0;
}

/* --- in any thread: oh_core.h */

int oh_core_counters(struct oh_core *core, struct oh_core_counters *out)
{
	struct oh_command *command = oh_command_new(run_core_counters, 0);
	int                error = oh_command_ask(core, command);

	if (error < 0)
		return error;
	*out = command->of.core_counters;
	oh_command_free(command);
	return 0;
}

/* Ask for something whose answer is one number. */
static int ask_number(struct oh_core *core, struct oh_command *command, uint32_t *number)
{
	int error = oh_command_ask(core, command);

	if (error < 0)
		return error;
	*number = command->a;
	oh_command_free(command);
	return 0;
}

int oh_core_attach(struct oh_core *core, int fd, uint32_t *segment)
{
	struct oh_segment *mapped = calloc(1, sizeof(*mapped));
	struct oh_command *command = oh_command_new(run_attach, 0);
	int                error = mapped == NULL || command == NULL ? -ENOMEM : oh_segment_map(fd, mapped);

	if (error < 0) {
		free(mapped);
		oh_command_free(command);
		return error;
	}
	command->thing = mapped;
	error = ask_number(core, command, segment);
	if (error < 0) {
		oh_segment_unmap(mapped);
		free(mapped);
	}
	return error;
}

int oh_prompt_load(struct oh_core *core, uint32_t prompt, const int16_t *pcm, size_t samples, uint32_t rate_hz)
{
	struct oh_command *command = oh_command_new(run_prompt_load, 0);
	struct oh_prompt  *made = NULL;
	int                error = command == NULL ? -ENOMEM : oh_prompt_make(pcm, samples, rate_hz, &made);

	if (error < 0) {
		oh_command_free(command);
		return error;
	}
	command->thing = made;
	command->a = prompt;
	error = oh_command_do(core, command);
	if (error < 0)
		free(made);
	return error;
}

int oh_prompt_drop(struct oh_core *core, uint32_t prompt)
{
	struct oh_command *command = oh_command_new(run_prompt_drop, 0);

	if (command != NULL)
		command->a = prompt;
	return oh_command_do(core, command);
}

int oh_port_open(struct oh_core *core, uint32_t *number, uint16_t *rtp_port, int64_t *opened_ns)
{
	struct oh_command *command = oh_command_new(run_open, 0);
	struct oh_port    *port = NULL;
	int                error = command == NULL ? -ENOMEM : oh_port_make(core, &port, rtp_port);

	if (error < 0) {
		oh_command_free(command);
		return error;
	}
	command->thing = port;
	error = oh_command_ask(core, command);
	if (error < 0) {
		oh_port_free(port);
		return error;
	}
	*number = command->a;
	*opened_ns = (int64_t)command->wide;
	oh_command_free(command);
	return 0;
}

int oh_port_close(struct oh_core *core, uint32_t port)
{
	return oh_command_do(core, oh_command_new(run_close, port));
}

/* Here is what was taken, or what it replaced, afterwards. */
static int point(struct oh_core *core, uint32_t port, const struct oh_remote *remote, struct oh_codecs *codecs)
{
	struct oh_command *command = oh_command_new(run_remote, port);

	if (command != NULL) {
		command->of.remote = *remote;
		command->thing = codecs;
	}
	return oh_command_do(core, command);
}

int oh_port_remote(struct oh_core *core, uint32_t port, const struct oh_remote *remote)
{
	struct oh_codecs codecs = {.playout = NULL};
	int              error;

	if (!oh_encoder_takes_ms(remote->codec, remote->packet_ms) ||
	    (remote->digits_rate_hz != 8000 && remote->digits_rate_hz != 48000))
		return -EINVAL;
	error = oh_encoder_open(&codecs.encoder, remote->codec, remote->dtx);
	if (error < 0)
		return error;
	error = oh_decoder_open(&codecs.decoder, remote->codec);
	if (error == 0) {
		error = point(core, port, remote, &codecs);
		if (error == -EAGAIN) /* it is in a room, and what it hears is another codec's from here on */
			error = oh_playout_open(&codecs.playout, remote->codec, port);
		if (error == 0 && codecs.playout != NULL)
			error = point(core, port, remote, &codecs);
	}
	oh_playout_close(codecs.playout);
	oh_decoder_close(&codecs.decoder);
	oh_encoder_close(&codecs.encoder);
	return error;
}

int oh_port_bind(struct oh_core *core, uint32_t port, uint32_t segment, uint32_t slot, uint32_t *epoch)
{
	struct oh_command *command = oh_command_new(run_bind, port);

	if (command != NULL) {
		command->a = segment;
		command->b = slot;
	}
	return ask_number(core, command, epoch);
}

int oh_port_unbind(struct oh_core *core, uint32_t port)
{
	return oh_command_do(core, oh_command_new(run_unbind, port));
}

int oh_port_play(struct oh_core *core, uint32_t port, uint32_t prompt, bool loop, uint32_t *play)
{
	struct oh_command *command = oh_command_new(run_play, port);

	if (command != NULL) {
		command->a = prompt;
		command->b = loop;
	}
	return ask_number(core, command, play);
}

int oh_port_stop(struct oh_core *core, uint32_t port)
{
	return oh_command_do(core, oh_command_new(run_stop, port));
}

int oh_port_flush(struct oh_core *core, uint32_t port, uint64_t *played)
{
	struct oh_command *command = oh_command_new(run_flush, port);
	int                error = oh_command_ask(core, command);

	if (error < 0)
		return error;
	*played = command->wide;
	oh_command_free(command);
	return 0;
}

int oh_port_send_digits(struct oh_core *core, uint32_t port, const char *digits, uint32_t press_ms)
{
	struct oh_command *command;

	if (strlen(digits) > OH_DIGITS_MAX)
		return -ENOSPC;
	command = oh_command_new(run_send_digits, port);
	if (command != NULL) {
		(void)strcpy(command->of.keys, digits);
		command->a = press_ms;
	}
	return oh_command_do(core, command);
}

int oh_port_record(struct oh_core *core, uint32_t port, const char *caller_path, const char *agent_path)
{
	struct oh_command   *command;
	struct oh_recording *recording = NULL;
	uint32_t             rate_hz = 0;
	int                  error = ask_number(core, oh_command_new(run_rate, port), &rate_hz);

	if (error < 0)
		return error;
	command = oh_command_new(run_record, port);
	error = command == NULL ? -ENOMEM : oh_recording_open(&recording, caller_path, agent_path, rate_hz);
	if (error < 0) {
		oh_command_free(command);
		return error;
	}
	command->thing = recording;
	error = oh_command_do(core, command);
	if (error < 0) {
		oh_recording_abandon(recording);
		(void)unlink(caller_path);
		(void)unlink(agent_path);
	}
	return error;
}

int oh_port_pause_recording(struct oh_core *core, uint32_t port, bool paused)
{
	struct oh_command *command = oh_command_new(run_pause, port);

	if (command != NULL)
		command->a = paused;
	return oh_command_do(core, command);
}

int oh_port_stop_recording(struct oh_core *core, uint32_t port)
{
	return oh_command_do(core, oh_command_new(run_stop_recording, port));
}

int oh_port_counters(struct oh_core *core, uint32_t port, struct oh_port_counters *out)
{
	struct oh_command *command = oh_command_new(run_port_counters, port);
	int                error = oh_command_ask(core, command);

	if (error < 0)
		return error;
	*out = command->of.port_counters;
	oh_command_free(command);
	return 0;
}
