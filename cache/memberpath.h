/* memberpath.h - the paths that archives give their members, made safe to be shown.  Pure.
 *
 * Archives come from strangers' machines, and a path may be anything: absolute, with "..", of 60,000 bytes, the same
 * twice.  What is clean leads nowhere but below the directory that it is shown in: one to CAB_MEMBER_DEPTH parts, with
 * "/" between two, each of 1 to 255 bytes of valid UTF-8, none of them "." or "..", and without characters that a
 * terminal acts on or that cannot be seen.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_MEMBERPATH_H
#define CABFS_CACHE_MEMBERPATH_H

#include "cache/memberlist.h" /* CAB_MEMBER_DEPTH */

#define CAB_MEMBER_PART_SIZE 255

/* @path as its archive has it, clean: parts that lead nowhere (empty, ".", "..") are left out, a character that must not
 * be in a name is "_", what is too long loses its middle, and of too many parts the last ones are kept. */
char *cab_member_path_clean (const char *path);

/* "dumps/minidump~2.mdmp": another name for a clean path that is taken; @n from 2. */
char *cab_member_path_variant (const char *path, guint n);

#endif
