/* list.h - all rows of a scope, page after page.
 *
 * Pages are taken in order, each adding rows and telling by its length and its link whether another one follows and
 * where it begins (api-contract.md 3.5).  As long as they all begin where arithmetic has it, those that will be next
 * are asked for ahead, several at a time (pages.h), and wait for their turn; if one begins elsewhere, what was asked
 * for ahead is dropped and it goes on one by one.  So what is asked for ahead decides how long a list takes, and
 * never what is in it.  A page that fails fails the list when its turn comes.
 *
 * Where a family can be asked in several ways, the next is tried when the service does not know the first (404,
 * 410) or keeps it from us (403), and which one answered is remembered (ways.h); the error is that of the last way,
 * but a refusal is never told as "not found".
 *
 * Threads: on the thread of the API's transport.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_LIST_H
#define CABFS_CLIENT_LIST_H

#include "client/api.h"
#include "client/call.h"
#include "client/client.h"

/* Most bytes of one page, and most pages of one list: beyond is an error, never a list that lacks rows. */
#define CAB_PAGE_LIMIT (64u * 1024 * 1024)
#define CAB_PAGES_MAX  20000

/* Copies @scope, @window and @sink.  Errors as cab_client_list(). */
void cab_list_run (CabCalls *calls, const CabScope *scope, const CabWindow *window, const CabListSink *sink,
                   gpointer data);

#endif
