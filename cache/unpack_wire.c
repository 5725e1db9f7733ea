/* SPDX-License-Identifier: MIT */
#include "cache/unpack_wire.h"

#include <errno.h>
#include <sys/socket.h>

static CabWireResult result_from_errno (void) {
  if (errno == EAGAIN)
    return CAB_WIRE_LATER;
  return CAB_WIRE_GONE;
}

CabWireResult cab_wire_send (int fd, gboolean block, const CabWire *head, const void *text, gsize len) {
  struct iovec parts[] = {
      {.iov_base = (void *) (guintptr) head, .iov_len = sizeof *head},
      {.iov_base = (void *) (guintptr) text, .iov_len = len},
  };
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = len > 0 ? 2 : 1};
  g_assert (len <= CAB_WIRE_TEXT_MAX);
  gssize sent;
  do
    sent = sendmsg (fd, &message, MSG_NOSIGNAL | (block ? 0 : MSG_DONTWAIT));
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? result_from_errno () : CAB_WIRE_OK;
}

CabWireResult cab_wire_receive (int fd, gboolean block, CabWire *head, void *text, gsize room, gsize *len) {
  struct iovec parts[] = {
      {.iov_base = head, .iov_len = sizeof *head},
      {.iov_base = text, .iov_len = room},
  };
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = room > 0 ? 2 : 1};
  gssize got;
  /* A worker that ended without having read all is told of once, before the packets that it sent. */
  do
    got = recvmsg (fd, &message, block ? 0 : MSG_DONTWAIT);
  while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got < 0)
    return result_from_errno ();
  if (got == 0)
    return CAB_WIRE_GONE;
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || (gsize) got < sizeof *head)
    return CAB_WIRE_BAD;
  *len = (gsize) got - sizeof *head;
  return CAB_WIRE_OK;
}
