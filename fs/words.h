/* words.h - what may follow -o besides the keys of keys.h: mount options, as FUSE and mount(8) have them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_WORDS_H
#define CABFS_FS_WORDS_H

#include "fs/config.h"

typedef enum {
  CAB_WORD_OURS,    /* explained in cabfs(1) */
  CAB_WORD_PASSED,  /* given to the kernel */
  CAB_WORD_IGNORED, /* means something to mount(8) only, or could not be otherwise */
} CabWordKind;

typedef struct CabWord CabWord;

typedef gboolean (*CabWordSetter) (CabConfig *config, const CabWord *word, const char *value, GError **error);

struct CabWord {
  const char *name;
  CabWordKind kind;
  gboolean takes_value; /* "name=value" */
  CabWordSetter set;    /* CAB_WORD_OURS */
  gsize offset;         /* in CabConfig */
};

const CabWord *cab_config_words (guint *n);

/* By the name before '='.  NULL if there is none. */
const CabWord *cab_config_word_find (const char *name);

/* @value is NULL where there was no '='; the error goes on after "-o uid: ". */
gboolean cab_config_word_apply (CabConfig *config, const CabWord *word, const char *value, GError **error);

#endif
