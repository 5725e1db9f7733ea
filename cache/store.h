/* store.h - the cache directory: files of bytes, each with its map, in a directory for each expiration time.
 *
 * interface.md section 6.  An object is one data file, open: of a CAB (ID.cab, with its map ID.map) or of a member that
 * was taken out of one (ID.member, with ID.member-map, where ID is that of the CAB, a dot, and what tells its members
 * apart).  Rules that keep it right under kill -9, power cuts and several processes on one directory:
 *
 *  - A map is written only after the data it speaks of is on disk (fdatasync), to a temporary name, then renamed.
 *  - A map names the data file it belongs to by inode and birth time; with another one it is worth nothing.
 *  - Who writes an object holds flock (LOCK_EX) on its data file for as long as it is open, who reads a complete
 *    one LOCK_SH.  Who finds it locked by a writer gets a private object: an unnamed file that ends with it.  What he
 *    puts there he has from the writer, as far as that one gives it (peer.h).
 *  - Whoever gets LOCK_EX without waiting on a file that still has a name knows that nobody has the object open and may
 *    remove it.  What has none was removed before, and what is there under that name is another one.
 *  - A member has a map only once it is whole: without one, and open to nobody, it is what a crash left.
 *
 * Threads: any; an object's calls may run in parallel except close, which is last.  No lock is held across disk I/O.
 * Errors: CAB_ERROR with the path; NO_SPACE where the disk is full or the cache may not grow.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_STORE_H
#define CABFS_CACHE_STORE_H

#include "cache/map.h"

#define CAB_STORE_CAB        ".cab"
#define CAB_STORE_CAB_MAP    ".map"
#define CAB_STORE_MEMBER     ".member"
#define CAB_STORE_MEMBER_MAP ".member-map"

typedef struct CabStore CabStore;
typedef struct CabObject CabObject;

/* Which CAB: the names on disk are made of `expires` and `id`, and a map says whose it is.  Where two owners have a
 * CAB of one name, the file is that of who came first; the other's goes into a private one. */
typedef struct {
  const char *owner; /* "driver/13984104677400476" */
  gint64 expires;    /* Unix seconds, or CAB_TIME_UNKNOWN; of a member, its CAB's */
  const char *id;
  gboolean member; /* not a CAB */
} CabObjectKey;

/* Makes or opens @dir.  INVALID: it is of a version that is not understood, or holds something else; FAILED:
 * cannot be made, or belongs to somebody else.
 * Where the disk is at fault (read-only, full, broken) that is logged, and the store is one that holds what is there and
 * takes nothing. */
CabStore *cab_store_new (const char *dir, GError **error);

/* The same for what is a cache directory already: makes and changes nothing but its lock.  NOT_FOUND: there is no
 * @dir; INVALID: it is not one, or of another version. */
CabStore *cab_store_open (const char *dir, GError **error);
void cab_store_free (CabStore *self);

/* A descriptor of the directory, the store's; for the listings beside the objects and for eviction.  -1 if there is
 * none. */
int cab_store_dirfd (const CabStore *self);

/* Name of the directory for an expiration time in Unix seconds; one for CAB_TIME_UNKNOWN sorts behind all. */
char *cab_store_dir_name (gint64 expires);

/* Calls @func on the writing thread after each @bytes that were written, and when the disk is found full: for the
 * thread that watches the quota.  Set once, before the first object. */
void cab_store_set_written_func (CabStore *self, guint64 bytes, void (*func) (gpointer data), gpointer data);

/* While it is set, writes are refused with NO_SPACE.  Set by who watches the quota, and by a write that finds the disk
 * full. */
void cab_store_set_full (CabStore *self, gboolean full);
gboolean cab_store_is_full (CabStore *self);

/* TRUE if somebody has to be told: once for a while. */
gboolean cab_store_should_tell_full (CabStore *self);

/* The first time as a warning: nothing can be kept.  Where the disk is full, that is noted as by a write that finds it so,
 * and for who watches the quota to tell. */
void cab_store_tell_unusable (CabStore *self, const GError *error);

/* Writes beyond it are refused with NO_SPACE, 0: none are. */
void cab_store_set_bound (CabStore *self, guint64 bytes);

/* @bytes will be written, to be taken back as they are: room is made for them now, and `written_func` called for that. */
void cab_store_reserve (CabStore *self, guint64 bytes);
void cab_store_unreserve (CabStore *self, guint64 bytes);
guint64 cab_store_reserved (CabStore *self);

/* While it is set, there is less room than what is reserved.  Set by who watches the quota. */
void cab_store_set_short (CabStore *self, gboolean is_short);
gboolean cab_store_is_short (CabStore *self);

/* Has the quota looked at. */
void cab_store_watch (CabStore *self);

/* What a count of the whole directory found that began when cab_store_mark() was called: what is written from then on
 * comes on top.  By who watches the quota. */
void cab_store_mark (CabStore *self);
void cab_store_set_usage (CabStore *self, guint64 bytes, guint64 files);

/* FALSE before the first count. */
gboolean cab_store_usage (CabStore *self, guint64 *bytes, guint64 *files);

/* TRUE if the disk had no room for a write since this was asked last. */
gboolean cab_store_was_refused (CabStore *self);

/* Notes whether a try to make or write a file went well. */
void cab_store_note (CabStore *self, gboolean broken);

/* FALSE while the last try to make or write a file failed, and not for want of room. */
gboolean cab_store_is_writable (CabStore *self);

/* Opens the object of CAB @id, made if it is not there.  @map is filled with what it holds; its `have` is empty and its
 * `born` NULL for a new one.  A damaged object is logged, counted, emptied.
 * Where the disk has no room for it, or does not let us, the object is one that takes nothing: every write fails with
 * NO_SPACE.  On a disk that is read-only, it has what is there. */
CabObject *cab_object_open (CabStore *self, const CabObjectKey *key, CabMap *map);

/* One that ends with its closing, whatever is in the directory; or one that takes nothing. */
CabObject *cab_object_open_private (CabStore *self, const CabObjectKey *key);

/* Ends the object.  The data stays, unless it is private. */
void cab_object_close (CabObject *self);

gboolean cab_object_write (CabObject *self, guint64 off, const void *bytes, gsize len, GError **error);

/* Reads exactly @len bytes: FALSE with @error otherwise (somebody cut the file). */
gboolean cab_object_read (CabObject *self, guint64 off, void *bytes, gsize len, GError **error);

/* The object's own, valid while it is open; -1 for one that takes nothing. */
int cab_object_descriptor (const CabObject *self);

/* TRUE if the file in the directory is not ours: it is locked, another's, or cannot be had. */
gboolean cab_object_is_private (const CabObject *self);

/* FALSE: every write will be refused. */
gboolean cab_object_takes (const CabObject *self);

/* Gives the room of [start, end) back, whatever is there; who reads it finds zeros.  The map goes first.  FALSE if the
 * file system cannot do that. */
gboolean cab_object_punch (CabObject *self, guint64 start, guint64 end);

/* For who writes through the descriptor: begins anew without a byte, and tells that @len bytes were written. */
gboolean cab_object_empty (CabObject *self, GError **error);
void cab_object_wrote (CabObject *self, guint64 len);

/* Puts the data on disk, then @map, whose `inode` and `born` are filled in.  Blocks.  Does nothing for a private
 * object or one that was removed meanwhile. */
gboolean cab_object_save (CabObject *self, CabMap *map, GError **error);

/* Everything is here: other processes may read it from now on. */
void cab_object_share (CabObject *self);

/* Removes the files of an object that must not be used again, in whichever state. */
void cab_object_discard (CabObject *self);

/* Marks the object as read just now: eviction takes the least recently read first. */
void cab_object_touch (CabObject *self);

/* Bytes on disk of a CAB or a member that nobody has open; 0 if there are none. */
guint64 cab_store_bytes (CabStore *self, const CabObjectKey *key);

/* The first @len bytes of its file, or less: how many, or -1. */
gssize cab_store_read (CabStore *self, const CabObjectKey *key, void *bytes, gsize len);

/* What the map of a CAB or a member says, without opening it. FALSE if there is none or it is not good. */
gboolean cab_store_peek (CabStore *self, const CabObjectKey *key, CabMap *map);

/* Removes the members that were taken out of CAB @id.  Blocks. */
void cab_store_remove_members (CabStore *self, gint64 expires, const char *id);

/* The CAB that the file @name of a member belongs to: TRUE and the length of its id, at the head of @name; FALSE if it is
 * the file of no member. */
gboolean cab_store_is_member (const char *name, gsize *id_len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabStore, cab_store_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabObject, cab_object_close)

#endif
