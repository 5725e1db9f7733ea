/* options.h - what the configuration tells fs/: the mount itself, and the tree it shows.
 *
 * Made by config.c, which checks everything: users of the structs need not.  Sections of interface.md in brackets.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_OPTIONS_H
#define CABFS_FS_OPTIONS_H

#include <glib.h>
#include <sys/types.h>

#include "fs/log.h"

/* An application that is listed in the root. */
typedef struct {
  char *family; /* a family of client/: "driver" */
  char *id;     /* well-formed applicationId (fs/names.h); of a family that has none, the family's name */
} CabFsApplication;

/* How open CABs, ID.cab.d, are shown [1]. */
typedef enum { CAB_MEMBERS_HIDDEN, CAB_MEMBERS_VISIBLE, CAB_MEMBERS_OFF } CabMembersShown;

typedef struct {
  char *account; /* section of the configuration */
  uid_t uid; /* owner of everything: the mounting user, or `uid=` and `gid=` */
  gid_t gid;
  mode_t umask;                   /* taken away from 0444 and 0555 [1] */
  gboolean sizes_lazy;            /* `sizes=lazy`: 0 until opened; else exact [1] */
  CabMembersShown members;        /* `members`: found by name only, listed too, or not there [3] */
  gboolean hide_undownloadable;   /* `undownloadable=hide`: not listed, ENOENT by name [3] */
  char **deny;                    /* NULL-terminated names as in /proc/PID/comm; never NULL [3] */
  guint64 budget;                 /* `budget`: bytes a program may have downloaded in a minute; 0: any [3] */
  char *default_family;           /* `family`: of an applicationId that is not listed [3] */
  gboolean discover;              /* the products that the services enumerate are listed too [3] */
  CabFsApplication *applications; /* listed ones, in the order of the configuration, without duplicates */
  guint n_applications;
  gint64 listing_ttl_s; /* `listing-ttl`: also how long the kernel may keep names and attributes */
} CabFsOptions;

typedef struct {
  char *account;     /* section of the configuration */
  char *config_file; /* where it was found */
  char *mountpoint;  /* absolute */
  gboolean foreground;
  gboolean debug; /* implies foreground and CAB_LOG_DEBUG */
  CabLogLevel log_level;
  gboolean allow_other;
  gboolean allow_root;
  gboolean default_permissions; /* asked for, or needed: config.c */
  gboolean no_auto_unmount;
  char *fsname;   /* the source in /proc/self/mounts */
  char *subtype;  /* "cabfs": the type there is fuse.cabfs */
  char **pass_on; /* NULL-terminated words for the kernel ("noexec"); never NULL */
} CabMountOptions;

/* Free what the struct points to and zero it. */
void cab_fs_options_clear (CabFsOptions *options);
void cab_mount_options_clear (CabMountOptions *options);

#endif
