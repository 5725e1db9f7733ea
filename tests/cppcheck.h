/* cppcheck.h - macros of our libraries that cppcheck would not parse; no program includes this.
 *
 * SPDX-License-Identifier: MIT
 */
#define G_GNUC_PRINTF(format, first)
#define G_DEFINE_QUARK(text, name) GQuark name##_quark (void);
#define G_DEFINE_EXTENDED_ERROR(Error, error)                                                                  \
  GQuark error##_quark (void);                                                                                 \
  static Error##Private *error##_get_private (const GError *self);
#define G_STATIC_ASSERT(expression)
#define json_array_foreach(array, index, value)                                                                \
  for (index = 0; index < json_array_size (array) && (value = json_array_get (array, index)) != NULL; index++)
#define json_object_foreach(object, key, value)                                                                \
  for (key = json_object_iter_key (json_object_iter (object));                                                 \
       key != NULL && (value = json_object_get (object, key)) != NULL;                                         \
       key = json_object_iter_key (json_object_iter_next (object, key)))
