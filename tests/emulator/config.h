/* config.h - settings of the emulator that tests change while it runs: one table of names, types and defaults.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_CONFIG_H
#define CABFS_EMULATOR_CONFIG_H

#include "tests/emulator/emu.h"
#include <jansson.h>

/* X (constant, name, default as JSON, what it is) */
#define EMU_SETTINGS(X)                                                                                        \
  X (TENANT, "tenant", "\"contoso.onmicrosoft.com\"", "the only directory the login host knows")               \
  X (CLIENT_ID, "clientId", "\"00000000-1111-2222-3333-444444444444\"", "the only application it knows")       \
  X (CLIENT_SECRET, "clientSecret", "\"s3cret+/=~. &%\"", "its secret, with all that must be encoded")         \
  X (ASSERTION, "clientAssertion", "null", "a client assertion taken as it is: a federated token; null: none") \
  X (CERTIFICATE, "certificate", "null", "its certificates, PEM, which may sign client assertions")            \
  X (SYSTEM_IDENTITY, "systemIdentity", "\"00000000-5555-6666-7777-888888888888\"",                            \
     "the machine's own identity; null: none")                                                                 \
  X (MANAGED_IDENTITY, "managedIdentity", "\"00000000-9999-aaaa-bbbb-cccccccccccc\"",                          \
     "the client ID of the identity that was assigned to it; null: none")                                      \
  X (RESOURCE, "resource", "\"https://manage.devcenter.microsoft.com\"", "the audience; v2: with /.default")   \
  X (TOKEN_LIFE, "tokenLife", "3599", "seconds a token lives")                                                 \
  X (SAS_LIFE, "sasLife", "3600000",                                                                           \
     "milliseconds a SAS URL lives; se has milliseconds if these are no seconds")                              \
  X (MD5_LIMIT, "md5Limit", "67108864", "largest blob, in bytes, that has a Content-MD5")

typedef enum {
#define EMU_SETTING_ENUM(constant, name, value, help) EMU_SETTING_##constant,
  EMU_SETTINGS (EMU_SETTING_ENUM)
#undef EMU_SETTING_ENUM
      EMU_SETTING_COUNT
} EmuSetting;

EmuConfig *emu_config_new (void);
void emu_config_free (EmuConfig *self);

/* The value of a number, 0 for anything else. */
gint64 emu_config_int (EmuConfig *self, EmuSetting setting);
/* A copy for the caller; NULL for null. */
char *emu_config_string (EmuConfig *self, EmuSetting setting);

/* Takes the settings named in @object; FALSE with @error, and nothing changed, for a name or type that is wrong. */
gboolean emu_config_update (EmuConfig *self, json_t *object, GError **error);
void emu_config_reset (EmuConfig *self);
/* All settings; a new reference. */
json_t *emu_config_dump (EmuConfig *self);

#endif
