/* The built-in data set: what a vendor of drivers might see on some day, worth browsing.
 *
 * Everything follows from the day it is made for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/build.h"
#include "tests/emulator/dates.h"

#define DAYS 25

typedef struct {
  const char *id;
  const char *driver;
  const char *version;
  const char *submission;
} DemoDriver;

typedef struct {
  guint driver; /* index */
  const char *name;
  const char *symbol;
  const char *event;
  const char *os_version;
  const char *market;
  const char *oem;
  guint cabs;
  const char *payload; /* of two in three of the small ones; NULL: synthetic */
  const char *other;   /* of the third */
  gint64 size;         /* of the synthetic */
} DemoFailure;

static const DemoDriver drivers[] = {
    {"13984104677400476", "contoso.sys", "3.1.0.17", "29900001_13984104677400476_1152921504627817541"},
    {"14208311096254871", "fabnet.sys", "10.4.2.8", "29900001_14208311096254871_1152921504628009127"},
    {"13760254918837702", "wingtipaudio.sys", "6.0.9412.2", "29900001_13760254918837702_1152921504626551093"},
    {"14431077260915538", "northwindgpu.sys", "31.0.15.3667", "29900001_14431077260915538_1152921504629127760"},
};

static const DemoFailure failures[] = {
    {0, "0x133_DISPATCH_contoso!OnDpc", "contoso!OnDpc+0x1c4", "System crash", "10.0.22631", "US", "Fabrikam",
     9, "null-write-kernel.cab", "null-write-plain.cab", 0},
    {0, "AV_contoso!ParseDescriptor", "contoso!ParseDescriptor+0x5b", "System crash", "10.0.22621", "DE",
     "Adatum", 6, "null-write-mszip.cab", "null-write-plain.cab", 0},
    {0, "0x9F_3_POWER_DOWN_contoso!EvtDeviceD0Exit", "contoso!EvtDeviceD0Exit+0x88", "System crash",
     "10.0.26100", "JP", "Proseware", 5, "abort-kernel.cab", "abort-plain.cab", 0},
    {0, "0xC4_62_VRF_LEAKED_POOL_contoso!AllocateRing", "contoso!AllocateRing+0x2f", "System crash",
     "10.0.26100", "US", "Fabrikam", 3, NULL, NULL, 412 * 1024 + 77},
    {1, "0xD1_fabnet!ReceiveIndicate", "fabnet!ReceiveIndicate+0x3e1", "System crash", "10.0.22631", "GB",
     "Adatum", 8, "divide-plain.cab", "divide-mszip.cab", 0},
    {1, "0x10D_5_fabnet!EvtIoRead", "fabnet!EvtIoRead+0x11", "System crash", "10.0.19045", "FR", "Fabrikam", 4,
     "recursion-kernel.cab", "recursion-plain.cab", 0},
    {1, "0x133_ISR_fabnet!InterruptService", "fabnet!InterruptService+0x9a", "System crash", "10.0.22621", "IN",
     "Proseware", 4, "recursion-cab.zip", "recursion-plain.cab", 0},
    {2, "AV_wingtipaudio!MixStream", "wingtipaudio!MixStream+0x210", "System crash", "10.0.22631", "US",
     "Adatum", 6, "illegal-mszip.cab", "illegal-plain.cab", 0},
    {2, "0x3B_c0000005_wingtipaudio!SetVolume", "wingtipaudio!SetVolume+0x42", "System crash", "10.0.26100",
     "BR", "Fabrikam", 3, "illegal-files.zip", "illegal-plain.cab", 0},
    {3, "LKD_0x141_Tdr:6_northwindgpu!SubmitCommand", "northwindgpu!SubmitCommand+0x7d0", "Live kernel event",
     "10.0.22631", "US", "Adatum", 7, "abort-mszip.cab", "abort-plain.cab", 0},
    {3, "0x116_TDR_northwindgpu!ResetEngine", "northwindgpu!ResetEngine+0x1f", "System crash", "10.0.26100",
     "KR", "Proseware", 3, NULL, NULL, 7 * 1024 * 1024 + 4321},
    {3, "0x1E_c000001d_northwindgpu!CompileShader", "northwindgpu!CompileShader+0x9c2", "System crash",
     "10.0.22621", "CA", "Adatum", 2, NULL, NULL, 38 * 1024 * 1024 + 99},
};

static json_t *failure_fields (const DemoFailure *failure) {
  const DemoDriver *driver = &drivers[failure->driver];
  return json_pack ("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "failureName",
                    failure->name, "symbol", failure->symbol, "eventType", failure->event, "osVersion",
                    failure->os_version, "osName", "Windows 11", "market", failure->market, "deviceType", "PC",
                    "architecture", "x64", "oemName", failure->oem, "oemModel", "Model 42", "driverName",
                    driver->driver, "driverVersion", driver->version, "flightRing", "Retail");
}

/* The CABs of a failure lie over the last days, the newest a few hours old. */
static json_t *cabs_rule (const DemoFailure *failure, guint index, gint64 midnight) {
  gint64 step = DAYS * EMU_DAY / (failure->cabs + 1);
  gint64 newest = midnight - 3600 * (2 + (gint64) index) - 61 * (gint64) index;
  json_t *rule = json_pack ("{s:i, s:I, s:I, s:I, s:{s:s}}", "count", (int) failure->cabs, "seed",
                            (json_int_t) (100 + index), "date", (json_int_t) newest, "step", (json_int_t) step,
                            "fields", "cabType", failure->payload != NULL ? "MINI" : "kernel");
  if (failure->payload != NULL)
    json_object_set_new (rule, "payload",
                         json_pack ("[s, s, s]", failure->payload, failure->payload, failure->other));
  else
    json_object_set_new (
        rule, "size",
        json_pack ("{s:I, s:I}", "min", (json_int_t) (failure->size / 2), "max", (json_int_t) failure->size));
  return rule;
}

static json_t *demo_failure (const DemoFailure *failure, guint index, gint64 midnight) {
  g_autofree char *hash = emu_build_guid (2026, failure->name, 0);
  json_t *events = json_pack ("[{s:I, s:i}]", "date", (json_int_t) (midnight - EMU_DAY * (1 + index % 5)),
                              "count", (int) (17 + 31 * index));
  return json_pack ("{s:s, s:o, s:o, s:[o]}", "hash", hash, "fields", failure_fields (failure), "events",
                    events, "cabs", cabs_rule (failure, index, midnight));
}

json_t *emu_build_demo (gint64 now) {
  gint64 midnight = emu_date_midnight (now);
  json_t *applications = json_array ();
  for (guint d = 0; d < G_N_ELEMENTS (drivers); d++) {
    json_t *list = json_array ();
    for (guint f = 0; f < G_N_ELEMENTS (failures); f++)
      if (failures[f].driver == d)
        json_array_append_new (list, demo_failure (&failures[f], f, midnight));
    json_array_append_new (applications, json_pack ("{s:s, s:{s:s}, s:o}", "id", drivers[d].id, "fields",
                                                    "submissionId", drivers[d].submission, "failures", list));
  }
  return json_pack ("{s:o}", "applications", applications);
}
