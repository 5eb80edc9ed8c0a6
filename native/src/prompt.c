/*
 * prompt.c - sounds loaded once and played by any number of ports.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

int oh_prompt_make(const int16_t *pcm, size_t samples, uint32_t rate_hz, struct oh_prompt **prompt)
{
	static const int16_t silence[OH_RESAMPLE_DELAY + 1u]; /* brings out what the filter still holds */
	size_t               n = samples + sizeof(silence) / sizeof(silence[0]);
	struct oh_prompt    *made;
	struct oh_down       down;

	if (samples == 0 || samples > SIZE_MAX / 4u || (rate_hz != 8000 && rate_hz != 16000))
		return -EINVAL;
	made = calloc(1, sizeof(*made) + n * sizeof(int16_t));
	if (made == NULL)
		return -ENOMEM;
	if (rate_hz == 8000) {
		memcpy(made->pcm, pcm, samples * sizeof(int16_t));
		made->n = samples;
	} else {
		oh_down_init(&down);
		made->n = oh_down_run(&down, pcm, samples, made->pcm);
		made->n += oh_down_run(&down, silence, sizeof(silence) / sizeof(silence[0]), made->pcm + made->n);
	}
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
	size_t             left;

	if (playing->prompt == NULL)
		return;
	left = playing->prompt->n - playing->at;
	playing->tail_n = 0;
	if (playing->played > 0 && left > 0) { /* fade over what would have come next */
		uint32_t fade = left < OH_PROMPT_FADE ? (uint32_t)left : OH_PROMPT_FADE;

		for (uint32_t i = 0; i < fade; i++)
			playing->tail[i] = (int16_t)(playing->prompt->pcm[playing->at + i] * (int32_t)(fade - i) /
			                             (int32_t)(fade + 1u));
		playing->tail_n = fade;
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
	size_t             done = 0;

	if (playing->tail_n > 0) {
		done = playing->tail_n;
		memcpy(out, playing->tail, done * sizeof(int16_t));
		playing->tail_n = 0;
	}
	while (playing->prompt != NULL && done < n) {
		size_t left = playing->prompt->n - playing->at;
		size_t part = left < n - done ? left : n - done;

		memcpy(out + done, playing->prompt->pcm + playing->at, part * sizeof(int16_t));
		done += part;
		playing->at += part;
		playing->played += part;
		if (playing->at == playing->prompt->n) {
			playing->at = 0;
			if (!playing->loop)
				over(port, true, port->clock + (int64_t)done);
		}
	}
	return done;
}
