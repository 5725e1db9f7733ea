/* ioctl.h - what can be asked of a cabfs through a descriptor of anything in it: ioctl(2).
 *
 * For programs too: includes nothing of cabfs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_IOCTL_H
#define CABFS_FS_IOCTL_H

#include <stdint.h>
#include <sys/ioctl.h>

/* Forgets the listing that the file stands in; of a directory, its own; of the mount point, all of them.  Makes no
 * request.  Who looks next waits for the service's answer; if there is none, the last good listing is shown and
 * user.cabfs.stale is 1. */
#define CABFS_IOC_REFRESH _IO ('C', 0x01)

#define CABFS_IOC_MAGIC   "cabfs"
#define CABFS_IOC_VERSION 1 /* of this header; what is in it keeps its meaning */

struct cabfs_identity {
  char magic[8]; /* CABFS_IOC_MAGIC, filled up with zeros */
  uint32_t version;
  uint32_t reserved;
};

/* Tells that this is a cabfs: on any other file it fails, with ENOTTY as a rule. */
#define CABFS_IOC_IDENTIFY _IOR ('C', 0x02, struct cabfs_identity)

#endif
