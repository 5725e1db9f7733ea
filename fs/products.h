/* products.h - applications that the services enumerate: `discover` of interface.md section 3.
 *
 * Three families have a list of products, none of which need work (api-contract.md section 9).  All are asked for at
 * the same time; what one does not tell is told once in the log and never keeps from anybody what the others or the
 * configuration have.  A product's family is remembered for the life of the mount.
 *
 * Threads: any; nothing here waits.  Ownership: lists are copies, freed with g_strfreev().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_PRODUCTS_H
#define CABFS_FS_PRODUCTS_H

#include "cache/cache.h"

typedef struct CabProducts CabProducts;

/* @cache must outlive it. */
CabProducts *cab_products_new (CabCache *cache);

/* No cab_products_ask() is under way. */
void cab_products_free (CabProducts *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabProducts, cab_products_free)

/* Asks for all lists.  @done runs exactly once, with no lock held, when each has come or failed: possibly before the
 * call returns.  A list that failed is not asked for again for a minute. */
void cab_products_ask (CabProducts *self, CabReach reach, void (*done) (gpointer data), gpointer data);

/* Lists that failed may be asked for at once. */
void cab_products_retry (CabProducts *self);

/* The applicationIds of the lists as they are now, sorted, each once. */
char **cab_products_list (CabProducts *self);

/* Why there may be more than the lists have, though they have nothing: a copy of the error of one that never came; NULL
 * if there is none.  That a family is not available to the account counts only where no list came. */
GError *cab_products_failure (CabProducts *self);

/* The family of an application that any list ever had, static; else NULL. */
const char *cab_products_family (CabProducts *self, const char *application);

/* Rows that could not become products: cab_records_skipped(). */
guint cab_products_skipped (CabProducts *self);

/* Another number whenever a list is another one. */
guint64 cab_products_version (CabProducts *self);

#endif
