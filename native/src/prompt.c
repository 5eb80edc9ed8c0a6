/*
 * prompt.c - sounds loaded once and played by any number of ports.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { BLOCK = 320 };

/* n samples at 8 kHz as 2 n at 16, in their places: the filter's delay is taken out, for here the future is known. */
static void widen(const int16_t *narrow, size_t n, int16_t *wide)
{
	struct oh_up up;
	size_t       made = 0, skip = OH_RESAMPLE_DELAY;

	oh_up_init(&up);
	for (size_t at = 0; made < 2 * n; at += BLOCK) {
		int16_t in[BLOCK] = {0}, out[2 * BLOCK];
		size_t  left = 2 * n - made, got = 2 * BLOCK - skip;

		if (at < n)
			memcpy(in, narrow + at, (n - at < BLOCK ? n - at : BLOCK) * sizeof(*in));
		oh_up_run(&up, in, BLOCK, out);
		memcpy(wide + made, out + skip, (got < left ? got : left) * sizeof(*out));
		made += got < left ? got : left;
		skip = 0;
	}
}

/* 2 n samples at 16 kHz as n at 8; likewise, but for half a sample. */
static void narrow_down(const int16_t *wide, size_t n, int16_t *narrow)
{
	struct oh_down down;
	size_t         made = 0, skip = OH_RESAMPLE_DELAY / 2u;

	oh_down_init(&down);
	for (size_t at = 0; made < n; at += 2 * BLOCK) {
		int16_t in[2 * BLOCK] = {0}, out[BLOCK];
		size_t  left = n - made, got = BLOCK - skip;

		if (at < 2 * n)
			memcpy(in, wide + at, (2 * n - at < 2 * BLOCK ? 2 * n - at : 2 * BLOCK) * sizeof(*in));
		(void)oh_down_run(&down, in, 2 * BLOCK, out);
		memcpy(narrow + made, out + skip, (got < left ? got : left) * sizeof(*out));
		made += got < left ? got : left;
		skip = 0;
	}
}

int oh_prompt_make(const int16_t *pcm, size_t samples, uint32_t rate_hz, struct oh_prompt **prompt)
{
	struct oh_prompt *made;
	size_t            n = rate_hz == 8000 ? samples : samples / 2u + samples % 2u;

	if (samples == 0 || samples > SIZE_MAX / 16u || (rate_hz != 8000 && rate_hz != 16000))
		return -EINVAL;
	made = calloc(1, sizeof(*made) + 3u * n * sizeof(int16_t));
	if (made == NULL)
		return -ENOMEM;
	made->n = n;
	made->wide = made->pcm + n;
	memcpy(rate_hz == 8000 ? made->pcm : made->wide, pcm, samples * sizeof(int16_t));
	if (rate_hz == 8000)
		widen(made->pcm, n, made->wide);
	else
		narrow_down(made->wide, n, made->pcm);
	*prompt = made;
	return 0;
}

static struct oh_prompt **find(struct oh_core *core, uint32_t number)
{
	struct oh_prompt **place = &core->prompts;

	while (*place != NULL && ((*place)->number != number || (*place)->dropped))
		place = &(*place)->next;
	return place;
}

static void release(struct oh_core *core, struct oh_prompt *prompt)
{
	if (prompt->users > 0 || !prompt->dropped)
		return;
	for (struct oh_prompt **place = &core->prompts; *place != NULL; place = &(*place)->next) {
		if (*place == prompt) {
			*place = prompt->next;
			break;
		}
	}
	/* Giving back an hour of sound takes the system longer than a packet may wait. */
	prompt->next = atomic_load_explicit(&core->spent, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&core->spent, &prompt->next, prompt, memory_order_release,
	                                              memory_order_relaxed))
		continue;
}

void oh_prompts_free(struct oh_core *core)
{
	struct oh_prompt *prompt = atomic_exchange_explicit(&core->spent, NULL, memory_order_acquire);

	while (prompt != NULL) {
		struct oh_prompt *next = prompt->next;

		free(prompt);
		prompt = next;
	}
}

void oh_prompt_forget(struct oh_core *core, uint32_t number)
{
	struct oh_prompt *prompt = *find(core, number);

	if (prompt == NULL)
		return;
	prompt->dropped = true;
	release(core, prompt);
}

/* The prompt from its next sample on, at the port's rate; `each` is the samples of that rate for one at 8 kHz. */
static const int16_t *rest(const struct oh_playing *playing, size_t each)
{
	return each == 1 ? playing->prompt->pcm + playing->at : playing->prompt->wide + 2 * playing->at;
}

static void over(struct oh_port *port, bool whole, int64_t clock)
{
	struct oh_playing *playing = &port->playing;
	struct oh_prompt  *prompt = playing->prompt;

	playing->prompt = NULL;
	prompt->users--;
	release(port->core, prompt);
	oh_event_media(port->core, port, OH_EVENT_PROMPT_DONE, clock, playing->number, (int64_t)playing->played,
	               whole ? 1 : 0, NULL);
}

void oh_prompt_cut(struct oh_port *port, int64_t clock)
{
	struct oh_playing *playing = &port->playing;
	const uint32_t     each = oh_port_per_ms(port) / 8u;
	size_t             left;

	if (playing->prompt == NULL)
		return;
	left = playing->prompt->n - playing->at;
	playing->tail_n = 0;
	if (playing->played > 0 && left > 0) { /* fade over what would have come next */
		uint32_t       fade = left < OH_PROMPT_FADE ? (uint32_t)left : OH_PROMPT_FADE;
		const int16_t *next = rest(playing, each);

		playing->tail_n = fade * each;
		for (uint32_t i = 0; i < playing->tail_n; i++)
			playing->tail[i] = (int16_t)(next[i] * (int32_t)(playing->tail_n - i) / (int32_t)(playing->tail_n + 1u));
		playing->played += fade;
	}
	over(port, false, clock);
}

int oh_prompt_start(struct oh_port *port, uint32_t number, bool loop, uint32_t *play)
{
	struct oh_playing *playing = &port->playing;
	struct oh_prompt  *prompt = *find(port->core, number);

	if (prompt == NULL)
		return -ERANGE;
	prompt->users++; /* before the cut, which may let go of the same prompt */
	oh_prompt_cut(port, port->clock);
	playing->prompt = prompt;
	playing->at = 0;
	playing->played = 0;
	playing->loop = loop;
	playing->number = ++port->plays;
	*play = playing->number;
	return 0;
}

size_t oh_prompt_say(struct oh_port *port, int16_t *out, size_t n)
{
	struct oh_playing *playing = &port->playing;
	const size_t       each = oh_port_per_ms(port) / 8u;
	size_t             done = 0;

	if (playing->tail_n > 0) {
		done = playing->tail_n;
		memcpy(out, playing->tail, done * sizeof(int16_t));
		playing->tail_n = 0;
	}
	while (playing->prompt != NULL && done < n) { /* all of `done`, `n` and the tail are whole samples at 8 kHz */
		size_t left = playing->prompt->n - playing->at;
		size_t part = left < (n - done) / each ? left : (n - done) / each;

		memcpy(out + done, rest(playing, each), each * part * sizeof(int16_t));
		done += each * part;
		playing->at += part;
		playing->played += part;
		if (playing->at == playing->prompt->n) {
			playing->at = 0;
			if (!playing->loop)
				over(port, true, port->clock + (int64_t)(done / each));
		}
	}
	return done;
}
