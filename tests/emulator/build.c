/* SPDX-License-Identifier: MIT */
#include "tests/emulator/build.h"
#include "tests/emulator/dates.h"
#include <string.h>

#define DIGITS_FIRST 13 /* lengths of the ids that are digits */
#define DIGITS_LAST  19

/* One rule, read. */
typedef struct {
  json_t *rule; /* borrowed */
  EmuFamily family;
  guint64 seed;
  gint64 date;
  gint64 step;
  gint64 expires_after;
  const char *payload_folder;
} Plan;

static guint64 mix (guint64 seed, const char *name, guint64 index) {
  guint64 x = seed ^ G_GUINT64_CONSTANT (0x51ed270b76a35c11);
  for (; *name != '\0'; name++)
    x = (x ^ (guint8) *name) * G_GUINT64_CONSTANT (0x100000001b3);
  x += index * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT (0xd6e8feb86659fd93);
  x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT (0xca5a826395121157);
  return x ^ (x >> 31);
}

char *emu_build_guid (guint64 seed, const char *name, guint64 index) {
  guint64 a = mix (seed, name, index), b = mix (~seed, name, index);
  return g_strdup_printf ("%08x-%04x-%04x-%04x-%04x%08x", (guint) (a >> 32), (guint) (a >> 16) & 0xffff,
                          (guint) a & 0xffff, (guint) (b >> 48), (guint) (b >> 32) & 0xffff, (guint) b);
}

/* Decimal digits of some length, not beginning with 0; new text. */
static char *make_digits (guint64 seed, const char *name, guint64 index) {
  guint64 length = DIGITS_FIRST + mix (seed, name, ~index) % (DIGITS_LAST - DIGITS_FIRST + 1), least = 1;
  while (--length > 0)
    least *= 10;
  return g_strdup_printf ("%" G_GUINT64_FORMAT, least + mix (seed, name, index) % (least * 8));
}

/* --- reading a rule ----------------------------------------------------------------------------------------- */

/* The @index-th of a list, which goes round, or the value itself.  Borrowed. */
static json_t *pick (json_t *value, guint index) {
  return json_is_array (value) && json_array_size (value) > 0
             ? json_array_get (value, index % json_array_size (value))
             : value;
}

/* Seconds, or a text in any form a service reads. */
static gboolean read_date (json_t *value, gint64 *out, GError **error) {
  if (json_is_integer (value)) {
    *out = json_integer_value (value);
    return TRUE;
  }
  if (json_is_string (value) && emu_date_parse (json_string_value (value), out, NULL))
    return TRUE;
  emu_error_set (error, "a date is Unix seconds or \"yyyy-mm-dd hh:mm:ss\"");
  return FALSE;
}

static gint64 integer (json_t *object, const char *name, gint64 otherwise) {
  json_t *value = json_object_get (object, name);
  return json_is_integer (value) ? json_integer_value (value) : otherwise;
}

static gboolean read_size (json_t *value, guint64 chance, guint64 *out, GError **error) {
  if (json_is_object (value)) {
    gint64 min = integer (value, "min", 0), max = integer (value, "max", -1);
    if (min < 0 || max < min) {
      emu_error_set (error, "size: {\"min\": n, \"max\": m} with 0 <= n <= m is wanted");
      return FALSE;
    }
    *out = (guint64) min + chance % ((guint64) (max - min) + 1);
    return TRUE;
  }
  if (value != NULL && (!json_is_integer (value) || json_integer_value (value) < 0)) {
    emu_error_set (error, "size: a number of bytes, a list of them or {\"min\", \"max\"} is wanted");
    return FALSE;
  }
  *out = value != NULL ? (guint64) json_integer_value (value) : 4096;
  return TRUE;
}

static EmuPayload *make_payload (const Plan *plan, guint index, guint64 content_seed, GError **error) {
  json_t *path = pick (json_object_get (plan->rule, "file"), index);
  if (json_is_string (path))
    return emu_payload_new_path (json_string_value (path), error);
  json_t *name = pick (json_object_get (plan->rule, "payload"), index);
  if (json_is_string (name))
    return emu_payload_new_file (plan->payload_folder, json_string_value (name), (guint16) content_seed, error);
  guint64 size;
  if (!read_size (pick (json_object_get (plan->rule, "size"), index), mix (content_seed, "size", index), &size,
                  error))
    return NULL;
  return emu_payload_new_synthetic (content_seed, size);
}

static EmuUrlForm read_url_form (json_t *rule) {
  const char *form = json_string_value (json_object_get (rule, "urlForm"));
  if (g_strcmp0 (form, "missing") == 0)
    return EMU_URL_MISSING;
  if (g_strcmp0 (form, "null") == 0)
    return EMU_URL_NULL;
  return g_strcmp0 (form, "empty") == 0 ? EMU_URL_EMPTY : EMU_URL_SIGNED;
}

/* "{id}" in a text is the CAB's id. */
static char *expand (const char *text, const char *id) {
  if (text == NULL)
    return NULL;
  g_auto (GStrv) parts = g_strsplit (text, "{id}", -1);
  return g_strjoinv (id, parts);
}

/* What a rule and a change have in common; absent keys leave @cab as it is. */
static gboolean apply_rule (EmuCab *cab, json_t *rule, guint index, GError **error) {
  json_t *expires = pick (json_object_get (rule, "expires"), index);
  json_t *fields = pick (json_object_get (rule, "fields"), index);
  json_t *url = pick (json_object_get (rule, "url"), index);
  if (expires != NULL && !read_date (expires, &cab->expires, error))
    return FALSE;
  if (json_is_object (fields)) {
    json_t *merged = json_copy (cab->fields);
    json_object_update (merged, fields);
    json_decref (cab->fields);
    cab->fields = merged;
  }
  if (url != NULL) {
    g_free (cab->url);
    cab->url = expand (json_string_value (url), cab->id);
  }
  if (json_object_get (rule, "urlForm") != NULL)
    cab->url_form = read_url_form (rule);
  if (json_object_get (rule, "cabDownloadable") != NULL)
    cab->downloadable = json_is_true (json_object_get (rule, "cabDownloadable"));
  if (json_object_get (rule, "gone") != NULL)
    cab->gone = json_is_true (json_object_get (rule, "gone"));
  cab->sas_life = integer (rule, "sasLife", cab->sas_life);
  return TRUE;
}

/* Path and validators follow from the id, the date and the content. */
static void finish (EmuCab *cab, guint64 content_seed) {
  g_autofree char *day = emu_date_text (cab->date, EMU_DATE_COMPACT);
  guint64 tag = mix (content_seed, cab->id, emu_payload_size (cab->payload));
  g_free (cab->path);
  g_free (cab->etag);
  if (cab->family == EMU_FAMILY_DRIVER)
    cab->path = g_strdup_printf ("/kernel-%s/%s.ext.zip", day, cab->id);
  else
    cab->path = g_strdup_printf ("/%s-%s/%s.cab", emu_family_row (cab->family)->name, day, cab->id);
  cab->etag = g_strdup_printf ("\"0x8D%013" G_GINT64_MODIFIER "X\"", tag >> 12);
}

static char *make_id (const Plan *plan, const char *key, guint index) {
  json_t *given = json_array_get (json_object_get (plan->rule, "ids"), index);
  if (json_is_string (given))
    return g_strdup (json_string_value (given));
  return emu_family_row (plan->family)->digits ? make_digits (plan->seed, key, index)
                                               : emu_build_guid (plan->seed, key, index);
}

static EmuCab *make_cab (const Plan *plan, const char *application, const char *failure, guint index,
                         GError **error) {
  g_autoptr (EmuCab) cab = g_new0 (EmuCab, 1);
  g_autofree char *key = g_strconcat (application, "/", failure, NULL);
  guint64 content_seed = mix (plan->seed, key, index) | 1;
  cab_ref_init (&cab->refs);
  cab->id = make_id (plan, key, index);
  cab->family = plan->family;
  cab->application = g_strdup (application);
  cab->failure = g_strdup (failure);
  cab->date = plan->date - (gint64) index * plan->step;
  json_t *date = json_object_get (plan->rule, "date");
  if (json_is_array (date) && !read_date (pick (date, index), &cab->date, error))
    return NULL;
  cab->expires = cab->date + plan->expires_after;
  cab->downloadable = TRUE;
  cab->fields = json_object ();
  cab->payload = make_payload (plan, index, content_seed, error);
  if (cab->payload == NULL || !apply_rule (cab, plan->rule, index, error))
    return NULL;
  finish (cab, content_seed);
  return g_steal_pointer (&cab);
}

static gboolean read_plan (Plan *plan, const char *payload_folder, EmuFamily family, json_t *rule,
                           GError **error) {
  json_t *date = json_object_get (rule, "date");
  *plan = (Plan){.rule = rule, .family = family, .payload_folder = payload_folder};
  plan->seed = (guint64) integer (rule, "seed", 1);
  plan->step = integer (rule, "step", 0);
  plan->expires_after = integer (rule, "expiresAfter", emu_family_row (family)->days * EMU_DAY);
  plan->date = emu_now_ms () / 1000 - 3600;
  return date == NULL || json_is_array (date) || read_date (date, &plan->date, error);
}

/* The family of application @id: what it has, else what @object says, else what its name says, else driver. */
static gboolean read_family (EmuData *data, const char *id, json_t *object, EmuFamily *family, GError **error) {
  json_t *value = json_object_get (object, "family");
  EmuFamily given = emu_family_find (json_string_value (value)), named = emu_family_find (id);
  emu_data_lock_read (data);
  const EmuApplication *known = emu_data_application_locked (data, id);
  EmuFamily has = known != NULL ? known->family : EMU_FAMILY_COUNT;
  emu_data_unlock (data);
  if (value != NULL && given == EMU_FAMILY_COUNT) {
    emu_error_set (error, "\"family\": no such family");
    return FALSE;
  }
  if (has == EMU_FAMILY_COUNT)
    has = value != NULL ? given : named != EMU_FAMILY_COUNT ? named : EMU_FAMILY_DRIVER;
  if ((value != NULL && given != has) || emu_family_row (has)->account != (named == has)) {
    emu_error_set (error, "\"%s\" is no application of family \"%s\"", id,
                   emu_family_row (value != NULL ? given : has)->name);
    return FALSE;
  }
  *family = has;
  return TRUE;
}

/* --- adding ------------------------------------------------------------------------------------------------- */

static gboolean add_rule (EmuData *data, const char *payload_folder, const char *application,
                          const char *failure, json_t *rule, json_t *ids, GError **error) {
  Plan plan;
  EmuFamily family;
  if (!read_family (data, application, rule, &family, error) ||
      !read_plan (&plan, payload_folder, family, rule, error))
    return FALSE;
  json_t *given = json_object_get (rule, "ids");
  gint64 count = integer (rule, "count", given != NULL ? (gint64) json_array_size (given) : 1);
  g_autoptr (GPtrArray) cabs = g_ptr_array_new ();
  for (gint64 i = 0; i < count; i++) {
    EmuCab *cab = make_cab (&plan, application, failure, (guint) i, error);
    if (cab == NULL) {
      g_ptr_array_set_free_func (cabs, (GDestroyNotify) emu_cab_unref);
      return FALSE;
    }
    g_ptr_array_add (cabs, cab);
  }
  emu_data_lock_write (data);
  EmuApplication *owner = emu_data_need_application_locked (data, application, family);
  EmuFailure *group = emu_data_need_failure_locked (owner, failure);
  for (guint i = 0; i < cabs->len; i++) {
    json_array_append_new (ids, json_string (((EmuCab *) cabs->pdata[i])->id));
    emu_data_add_cab_locked (data, group, cabs->pdata[i]);
  }
  emu_data_unlock (data);
  return TRUE;
}

static const char *need_text (json_t *object, const char *name, GError **error) {
  const char *text = json_string_value (json_object_get (object, name));
  if (text == NULL)
    emu_error_set (error, "\"%s\": a text is wanted", name);
  return text;
}

json_t *emu_build_cabs (EmuData *data, const char *payload_folder, json_t *rule, GError **error) {
  const char *application = need_text (rule, "application", error);
  const char *failure = application != NULL ? need_text (rule, "failure", error) : NULL;
  if (failure == NULL)
    return NULL;
  json_t *ids = json_array ();
  if (add_rule (data, payload_folder, application, failure, rule, ids, error))
    return ids;
  json_decref (ids);
  return NULL;
}

static gboolean add_failure (EmuData *data, const char *payload_folder, const char *application, json_t *item,
                             json_t *ids, GError **error) {
  const char *hash = need_text (item, "hash", error);
  EmuFamily family;
  size_t i;
  json_t *entry;
  if (hash == NULL || !read_family (data, application, item, &family, error))
    return FALSE;
  emu_data_lock_write (data);
  EmuFailure *failure =
      emu_data_need_failure_locked (emu_data_need_application_locked (data, application, family), hash);
  json_object_update (failure->fields, json_object_get (item, "fields"));
  json_array_foreach (json_object_get (item, "events"), i, entry) json_array_append (failure->events, entry);
  emu_data_unlock (data);
  json_array_foreach (
      json_object_get (item, "cabs"), i,
      entry) if (!add_rule (data, payload_folder, application, hash, entry, ids, error)) return FALSE;
  return TRUE;
}

static gboolean add_application (EmuData *data, const char *payload_folder, json_t *item, json_t *ids,
                                 GError **error) {
  const char *id = need_text (item, "id", error);
  EmuFamily family;
  size_t i;
  json_t *entry;
  if (id == NULL || !read_family (data, id, item, &family, error))
    return FALSE;
  emu_data_lock_write (data);
  EmuApplication *application = emu_data_need_application_locked (data, id, family);
  json_object_update (application->fields, json_object_get (item, "fields"));
  if (json_object_get (item, "listed") != NULL)
    application->unlisted = json_is_false (json_object_get (item, "listed"));
  emu_data_unlock (data);
  json_array_foreach (json_object_get (item, "failures"), i,
                      entry) if (!add_failure (data, payload_folder, id, entry, ids, error)) return FALSE;
  return TRUE;
}

json_t *emu_build_dataset (EmuData *data, const char *payload_folder, json_t *set, GError **error) {
  json_t *ids = json_array (), *entry;
  size_t i;
  if (json_is_true (json_object_get (set, "clear"))) {
    emu_data_lock_write (data);
    emu_data_clear_locked (data);
    emu_data_unlock (data);
  }
  json_array_foreach (json_object_get (set, "applications"), i, entry) {
    if (!add_application (data, payload_folder, entry, ids, error)) {
      json_decref (ids);
      return NULL;
    }
  }
  return ids;
}

/* --- changing ----------------------------------------------------------------------------------------------- */

static EmuCab *copy_cab (const EmuCab *old) {
  EmuCab *cab = g_new0 (EmuCab, 1);
  cab_ref_init (&cab->refs);
  cab->family = old->family;
  cab->date = old->date;
  cab->expires = old->expires;
  cab->sas_life = old->sas_life;
  cab->url_form = old->url_form;
  cab->downloadable = old->downloadable;
  cab->gone = old->gone;
  cab->id = g_strdup (old->id);
  cab->application = g_strdup (old->application);
  cab->failure = g_strdup (old->failure);
  cab->path = g_strdup (old->path);
  cab->etag = g_strdup (old->etag);
  cab->url = g_strdup (old->url);
  cab->payload = emu_payload_ref (old->payload);
  cab->fields = json_incref (old->fields);
  return cab;
}

/* TRUE if @rule says what the bytes are, and not only that they are other ones. */
static gboolean has_content (json_t *rule) {
  return json_object_get (rule, "size") != NULL || json_object_get (rule, "payload") != NULL ||
         json_object_get (rule, "file") != NULL;
}

/* Another size, payload, file or seed is another content with another ETag, at the same path. */
static gboolean change_content (EmuCab *cab, const Plan *plan, GError **error) {
  guint64 content_seed = mix (plan->seed, cab->id, 0) | 1;
  gboolean same_size = !has_content (plan->rule);
  EmuPayload *payload = same_size ? emu_payload_new_synthetic (content_seed, emu_payload_size (cab->payload))
                                  : make_payload (plan, 0, content_seed, error);
  if (payload == NULL)
    return FALSE;
  emu_payload_unref (cab->payload);
  cab->payload = payload;
  finish (cab, content_seed);
  return TRUE;
}

gboolean emu_build_change (EmuData *data, const char *payload_folder, json_t *change, GError **error) {
  Plan plan;
  const char *id = need_text (change, "id", error);
  if (id == NULL)
    return FALSE;
  g_autoptr (EmuCab) old = emu_data_cab (data, id);
  if (old == NULL) {
    emu_error_set (error, "no CAB \"%s\"", id);
    return FALSE;
  }
  if (!read_plan (&plan, payload_folder, old->family, change, error))
    return FALSE;
  g_autoptr (EmuCab) cab = copy_cab (old);
  gboolean content = has_content (change) || json_object_get (change, "seed") != NULL;
  if ((content && !change_content (cab, &plan, error)) || !apply_rule (cab, change, 0, error))
    return FALSE;
  emu_data_lock_write (data);
  EmuApplication *application = emu_data_application_locked (data, cab->application);
  EmuFailure *failure = application != NULL ? emu_data_failure_locked (application, cab->failure) : NULL;
  if (failure != NULL)
    emu_data_add_cab_locked (data, failure, g_steal_pointer (&cab));
  emu_data_unlock (data);
  return TRUE;
}
