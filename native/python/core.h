/*
 * core.h - what the files of the extension module share: the Python object that holds a core, how a method gets at the
 * core and says no, and all methods by name, for the one table in module.c.
 */
#ifndef OH_PYTHON_CORE_H
#define OH_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "oh_core.h"

typedef struct {
	PyObject_HEAD
	struct oh_core *core;  /* NULL: closed */
	Py_ssize_t      users; /* calls under way without the GIL */
} Core;

extern PyObject *media_error; /* offhook.media.MediaError */

/* Raise it: `verb` as Python knows it, of a port or (0) the core, refused with a negative errno. NULL. */
PyObject *core_refused(const char *verb, unsigned int port, int error);

/* The open core, and one more user of it until `users` is taken down; NULL, and raised, where it is closed. */
struct oh_core *core_use(Core *self);

/* Runs `call` on the open core without the GIL; `error` is what it answered. Leaves the function where it is closed. */
#define RUN(self, error, call)                                                                                         \
	do {                                                                                                           \
		struct oh_core *core = core_use(self);                                                                    \
		if (core == NULL)                                                                                      \
			return NULL;                                                                                   \
		Py_BEGIN_ALLOW_THREADS                                                                                 \
		(error) = (call);                                                                                      \
		Py_END_ALLOW_THREADS                                                                                   \
		(self)->users--;                                                                                       \
	} while (0)

/* module.c, reports.c, verbs.c, ports.c */
PyObject *core_fileno(PyObject *core, PyObject *unused);
PyObject *core_events(PyObject *core, PyObject *unused);
PyObject *core_datagrams(PyObject *core, PyObject *unused);
PyObject *core_counters(PyObject *core, PyObject *unused);
PyObject *core_close(PyObject *core, PyObject *unused);
PyObject *core_attach(PyObject *core, PyObject *args);
PyObject *core_load_prompt(PyObject *core, PyObject *args);
PyObject *core_drop_prompt(PyObject *core, PyObject *args);
PyObject *core_open(PyObject *core, PyObject *unused);
PyObject *core_close_port(PyObject *core, PyObject *args);
PyObject *core_remote(PyObject *core, PyObject *args);
PyObject *core_keys(PyObject *core, PyObject *args);
PyObject *core_forget_keys(PyObject *core, PyObject *args);
PyObject *core_ice(PyObject *core, PyObject *args);
PyObject *core_select(PyObject *core, PyObject *args);
PyObject *core_post(PyObject *core, PyObject *args);
PyObject *core_bind(PyObject *core, PyObject *args);
PyObject *core_unbind(PyObject *core, PyObject *args);
PyObject *core_bridge(PyObject *core, PyObject *args);
PyObject *core_room(PyObject *core, PyObject *unused);
PyObject *core_close_room(PyObject *core, PyObject *args);
PyObject *core_enter(PyObject *core, PyObject *args);
PyObject *core_leave(PyObject *core, PyObject *args);
PyObject *core_heard(PyObject *core, PyObject *args);
PyObject *core_play(PyObject *core, PyObject *args);
PyObject *core_stop(PyObject *core, PyObject *args);
PyObject *core_flush(PyObject *core, PyObject *args);
PyObject *core_send_digits(PyObject *core, PyObject *args);
PyObject *core_record(PyObject *core, PyObject *args);
PyObject *core_pause(PyObject *core, PyObject *args);
PyObject *core_stop_recording(PyObject *core, PyObject *args);
PyObject *core_port_counters(PyObject *core, PyObject *args);

#endif
