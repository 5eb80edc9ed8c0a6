/*
 * verbs.c - what is asked of a core as a whole: segments, prompts, rooms, ports to be opened.
 */
#include <errno.h>

#include "core.h"

PyObject *core_attach(PyObject *object, PyObject *args)
{
	uint32_t segment = 0;
	int      fd, error;

	if (!PyArg_ParseTuple(args, "i", &fd))
		return NULL;
	RUN((Core *)object, error, oh_core_attach(core, fd, &segment));
	return error < 0 ? core_refused("attach", 0, error) : PyLong_FromUnsignedLong(segment);
}

PyObject *core_load_prompt(PyObject *object, PyObject *args)
{
	Py_buffer    pcm;
	unsigned int prompt, rate_hz;
	int          error;
	Core        *self = (Core *)object;
	struct oh_core *core;

	if (!PyArg_ParseTuple(args, "Iy*I", &prompt, &pcm, &rate_hz))
		return NULL;
	core = core_use(self);
	if (core == NULL) {
		PyBuffer_Release(&pcm);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	error = oh_prompt_load(core, prompt, pcm.buf, (size_t)pcm.len / sizeof(int16_t), rate_hz);
	Py_END_ALLOW_THREADS
	self->users--;
	PyBuffer_Release(&pcm);
	if (error < 0)
		return core_refused("load_prompt", 0, error);
	Py_RETURN_NONE;
}

PyObject *core_drop_prompt(PyObject *object, PyObject *args)
{
	unsigned int prompt;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &prompt))
		return NULL;
	RUN((Core *)object, error, oh_prompt_drop(core, prompt));
	if (error < 0)
		return core_refused("drop_prompt", 0, error);
	Py_RETURN_NONE;
}

PyObject *core_room(PyObject *object, PyObject *unused)
{
	uint32_t room = 0;
	int      error;

	(void)unused;
	RUN((Core *)object, error, oh_core_room(core, &room));
	return error < 0 ? core_refused("room", 0, error) : PyLong_FromUnsignedLong(room);
}

PyObject *core_close_room(PyObject *object, PyObject *args)
{
	unsigned int room;
	int          error;

	if (!PyArg_ParseTuple(args, "I", &room))
		return NULL;
	if (((Core *)object)->core == NULL) /* the core closed it */
		Py_RETURN_NONE;
	RUN((Core *)object, error, oh_core_close_room(core, room));
	if (error < 0 && error != -ESHUTDOWN)
		return core_refused("close_room", 0, error);
	Py_RETURN_NONE;
}

PyObject *core_open(PyObject *object, PyObject *unused)
{
	uint32_t number = 0;
	uint16_t rtp_port = 0;
	int64_t  opened_ns = 0;
	int      error;

	(void)unused;
	RUN((Core *)object, error, oh_port_open(core, &number, &rtp_port, &opened_ns));
	if (error < 0)
		return core_refused("open", 0, error);
	return Py_BuildValue("IiL", number, (int)rtp_port, (long long)opened_ns);
}
