/* cmdline.h - what the command lines of our programs have in common: a table of options, from which they are parsed, shown
 * by --help, and compared with manuals and completions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CMDLINE_H
#define CABFS_FS_CMDLINE_H

#include <glib.h>

typedef struct {
  char letter;
  const char *name;
  const char *argument; /* what --help calls it; NULL: takes none */
  const char *help;
} CabCommandOption;

typedef struct {
  const char *program;
  const CabCommandOption *options;
  guint n;
} CabCmdline;

/* Takes the option of @letter, with its value if it has one.  FALSE with an error ends the parsing. */
typedef gboolean (*CabOptionFunc) (gpointer data, int letter, const char *value, GError **error);

/* Calls @func for each option of @argv, whose first word is passed over; `optind` of getopt(3) is then the first word
 * that is none.  Errors: CAB_ERROR_INVALID, and those of @func. */
gboolean cab_cmdline_parse (const CabCmdline *self, int argc, char **argv, CabOptionFunc func, gpointer data,
                            GError **error);

/* Sets such an error, which names --help.  Always FALSE, so that a function can return it. */
gboolean cab_cmdline_refuse (const CabCmdline *self, GError **error, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Appends the line of --help, behind @indent. */
void cab_cmdline_describe (const CabCommandOption *option, const char *indent, GString *text);

#endif
