/* What is not about the CABs of a failure: products, insights, and the stack of one CAB.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/api.h"
#include "tests/emulator/dates.h"
#include <string.h>

#define SHARED_FIRST G_GINT64_CONSTANT (1152921504606971000) /* of the ids that are shared: above 2^53 */

/* Days before today of which every desktop application has an insight. */
static const guint insight_days[] = {9, 2};

/* --- products ----------------------------------------------------------------------------------------------- */

/* "{id}" in @pattern is the application's. */
static json_t *text (const char *pattern, const char *id) {
  g_auto (GStrv) parts = g_strsplit (pattern, "{id}", -1);
  g_autofree char *joined = g_strjoinv (id, parts);
  return json_string (joined);
}

/* The id as the list has it: the hardware products have numbers. */
static json_t *id_json (const EmuQuery *query, const char *id) {
  guint64 number;
  if (query->call->endpoint == EMU_PRODUCTS &&
      g_ascii_string_to_unsigned (id, 10, 0, G_MAXINT64, &number, NULL))
    return json_integer ((json_int_t) number);
  return json_string (id);
}

static json_t *self_link (const char *id) {
  g_autofree char *href = g_strconcat (EMU_HARDWARE_API "/api/v1/hardware/products/", id, NULL);
  return json_pack ("[{s:s, s:s, s:s}]", "href", href, "rel", "self", "method", "GET");
}

/* Where the data set says nothing of it. */
static json_t *default_field (const char *id, const char *name, guint index) {
  static const struct {
    const char *name;
    const char *text;
  } texts[] = {{"productName", "Product {id}"},
               {"deviceType", "internalExternal"},
               {"primaryName", "App {id}"},
               {"packageFamilyName", "Contoso.{id}_ng6try80pwt52"},
               {"packageIdentityName", "Contoso.{id}"},
               {"publisherName", "CN=5AF8B6A0-0000-4000-8000-000000000000"},
               {"firstPublishedDate", "2016-03-11T01:32:11.0747851Z"}};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (strcmp (texts[i].name, name) == 0)
      return text (texts[i].text, id);
  if (strcmp (name, "links") == 0)
    return self_link (id);
  if (strcmp (name, "sharedProductId") == 0)
    return json_integer (SHARED_FIRST + index);
  if (strcmp (name, "marketingNames") == 0 || strcmp (name, "requestedSignatures") == 0)
    return json_array ();
  return strcmp (name, "additionalAttributes") == 0 ? json_null () : json_boolean (name[0] == 'h');
}

static json_t *product_row (const EmuQuery *query, const EmuApplication *application, guint index) {
  g_auto (GStrv) names = g_strsplit (query->call->row, " ", -1);
  json_t *row = json_object ();
  for (guint i = 0; names[i] != NULL; i++) {
    json_t *value = json_incref (json_object_get (application->fields, names[i]));
    if (strcmp (names[i], "id") == 0)
      value = id_json (query, application->id);
    else if (value == NULL)
      value = default_field (application->id, names[i], index);
    json_object_set_new (row, names[i], value);
  }
  return row;
}

/* --- insights ----------------------------------------------------------------------------------------------- */

static json_t *insight_row (const EmuApplication *application, gint64 date) {
  g_autofree char *when = emu_date_text (date, EMU_DATE_T);
  return json_pack ("{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s, s:s}]}", "applicationId", application->id,
                    "insightDate", when, "dataType", "health", "insightDetail", "FactName", "eventCount",
                    "PercentChange", "21", "DimensionName", "market", "DimensionValue", "DE", "FactValue",
                    "24");
}

static void add_insights (const EmuQuery *query, const EmuApplication *application, GPtrArray *rows) {
  gint64 today = emu_date_midnight (emu_now_ms () / 1000);
  for (guint i = 0; i < G_N_ELEMENTS (insight_days); i++) {
    gint64 date = today - insight_days[i] * EMU_DAY;
    if (date < query->from || date > query->to)
      continue;
    json_t *row = insight_row (application, date);
    if (emu_filter_fits (query->filter, row))
      g_ptr_array_add (rows, row);
    else
      json_decref (row);
  }
}

json_t *emu_products_page_locked (const EmuQuery *query, guint64 *total) {
  const GPtrArray *order = emu_data_applications_locked (query->request->emu->data);
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (emu_row_unref);
  gboolean known = query->application == NULL;
  for (guint i = 0; i < order->len; i++) {
    const EmuApplication *application = order->pdata[i];
    if (application->family != query->call->family ||
        (query->application != NULL && strcmp (application->id, query->application) != 0))
      continue;
    known = TRUE;
    if (application->unlisted)
      continue;
    if (query->call->kind == EMU_CALL_INSIGHTS)
      add_insights (query, application, rows);
    else
      g_ptr_array_add (rows, product_row (query, application, i));
  }
  return known ? emu_rows_cut (query, rows, total) : NULL;
}

/* --- stacks ------------------------------------------------------------------------------------------------- */

/* As the services tell stacks: the level is a text, and a function that is not known empty or "null". */
json_t *emu_stack_rows (const EmuCall *call, const EmuCab *cab) {
  static const struct {
    const char *image;
    const char *function;
    const char *offset;
  } frames[] = {{"contoso", NULL, "0x1c4"},
                {"contoso", "Contoso::Worker::Run", "0x22"},
                {"unknown_module", "null", "0x0"},
                {"ntdll", "", "0x7ffb2c1a"}};
  gboolean blames = emu_words_have (call->row, "isBlamedFrame");
  json_t *rows = json_array ();
  for (guint i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autofree char *level = g_strdup_printf ("%u", i);
    g_autofree char *own = g_strconcat ("Crash_", cab->id, NULL);
    json_t *row = json_pack ("{s:s, s:s, s:s, s:s}", "level", level, "image", frames[i].image, "function",
                             frames[i].function != NULL ? frames[i].function : own, "offset", frames[i].offset);
    if (blames)
      json_object_set_new (row, "isBlamedFrame", json_boolean (i == 0));
    json_array_append_new (rows, row);
  }
  return rows;
}
