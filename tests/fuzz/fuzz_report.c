/*
 * Any bytes, and a good statistics file with any pieces replaced, through `umbra report`: a
 * complaint in printable words, or a page that holds no tag but the report's own. fuzz: runs=20000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char good[] =
    "{\"format\":\"umbra-stats\",\"version\":1,\"run\":{\"guest\":\"g\",\"engine\":\"soft\","
    "\"mmu\":"
    "\"shadow\",\"memory_bytes\":536870912,\"status\":0},\"command\":[\"umbra\",\"run\"],\"host\":{"
    "\"processor\":\"p\",\"processors\":2,\"memory_bytes\":1,\"kernel\":\"k\"},\"host_ns\":63244,"
    "\"exits\":[{\"number\":30,\"name\":\"IO\",\"words\":\"port I/O\",\"count\":5,\"ns\":900},{"
    "\"number\":10,\"name\":\"CPUID\",\"words\":\"CPUID\",\"count\":1,\"ns\":70}],\"counters\":{"
    "\"instructions\":{\"value\":9000,\"unit\":\"number\",\"group\":\"run\",\"words\":\"executed\"}"
    ","
    "\"tlb_misses\":{\"value\":7,\"unit\":\"number\",\"group\":\"tlb\",\"words\":\"misses\"},"
    "\"shadow_mmio\":{\"value\":3,\"unit\":\"number\",\"group\":\"shadow\",\"words\":\"MMIO\"},"
    "\"shadow_bytes\":{\"value\":8192,\"unit\":\"bytes\",\"group\":\"tables\",\"words\":\"sPT\"}},"
    "\"ports\":[{\"port\":1016,\"count\":4}],\"memory\":[{\"name\":\"low\",\"kind\":\"ram\","
    "\"base\":"
    "0,\"bytes\":12288,\"bucket_bytes\":4096,\"dirty_logged\":false,\"resident_pages\":[1,0,1],"
    "\"dirty_pages\":[1,0,0],\"shared_pages\":[0,0,0]}],\"series\":{\"interval_ns\":100000000,"
    "\"time_ns\":[1,40000,63244],\"exits\":{\"IO\":[0,3,5],\"CPUID\":[0,0,1]},\"counters\":{"
    "\"instructions\":[0,8000,9000],\"tlb_misses\":[0,7,7],\"shadow_mmio\":[0,1,3],"
    "\"shadow_bytes\":[0,4096,8192]}}}";

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* The good file with pieces replaced: {place, bytes taken out, bytes put in, those}. */
static size_t edit(char *text, size_t room, const uint8_t *data, size_t size)
{
    size_t len = sizeof(good) - 1;

    memcpy(text, good, len);
    while (size >= 4) {
        size_t at = (data[0] | (size_t)data[1] << 8) % (len + 1);
        size_t out = MIN((size_t)data[2], len - at), in = MIN((size_t)data[3], size - 4);

        if (len - out + in > room)
            break;
        memmove(text + at + in, text + at + out, len - at - out);
        memcpy(text + at, data + 4, in);
        len += in - out;
        data += 4 + in;
        size -= 4 + in;
    }
    return len;
}

/* Tags that could only come from the file. */
static void check_page(const char *page)
{
    static const char *const never[] = {"<script", "<img", "<iframe", "<object", "<link"};

    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        must(!strstr(page, never[i]));
    must(strstr(page, "</html>") != NULL);
}

static void report(const char *bytes, size_t len)
{
    struct report_error error = {""};
    struct report_run *run = report_run_parse(bytes, len, &error);
    struct report page = {.count = 2, .run = {run, run}, .file = {"<a&\"", "<script>"}};
    char *text = NULL;
    size_t size;
    FILE *out;

    if (!run) {
        must(*error.text);
        for (const char *p = error.text; *p; p++)
            must(*p >= ' ' && *p <= '~');
        return;
    }
    for (page.count = 1; page.count <= 2; page.count++) {
        out = open_memstream(&text, &size);
        must(out != NULL);
        report_page(out, &page);
        fclose(out);
        check_page(text);
        free(text);
    }
    report_run_free(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[16384];

    report((const char *)data, size);
    report(text, edit(text, sizeof(text), data, size));
    return 0;
}
