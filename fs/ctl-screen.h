/* ctl-screen.h - lines at a terminal that are written over again and again, as progress bars are.
 *
 * Lines are cut to the width of the window, and no more are shown than it has; both are looked up each time, so that a
 * window that is resized is drawn right the next time.  Elsewhere than at a terminal nothing is drawn.  One thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_SCREEN_H
#define CABFS_FS_CTL_SCREEN_H

#include <glib.h>

typedef struct CabScreen CabScreen;

/* On stdout. */
CabScreen *cab_screen_new (void);

/* Leaves what was drawn last where it is. */
void cab_screen_free (CabScreen *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabScreen, cab_screen_free)

/* FALSE: stdout is a file, a pipe or a terminal that can only go on. */
gboolean cab_screen_is_terminal (const CabScreen *self);

guint cab_screen_width (const CabScreen *self);
guint cab_screen_height (const CabScreen *self);

/* Draws @lines, printable text, in place of those before. */
void cab_screen_draw (CabScreen *self, const GPtrArray *lines);

/* Takes away what was drawn; so that something else can be written, which stays above what is drawn next. */
void cab_screen_clear (CabScreen *self);

/* A descriptor, non-blocking, that tells of Ctrl-C and its like, and of a window that changes (signalfd(2)); from then on
 * they do nothing else.  -1 with errno. */
int cab_screen_signals (void);

#endif
