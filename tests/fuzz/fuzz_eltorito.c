/* Any bytes as a CD image: refused, or an entry inside the file that fits below 640 KiB. */
#include "fuzz_loader.h"

#include "fw/eltorito.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_error error = {.text = ""};
    struct eltorito entry;
    struct image cd;
    int result;

    image_from_bytes(&cd, "cd", data, size);
    result = eltorito_parse(&cd, &entry, &error);
    fuzz_check_text(&error, result);
    if (result == 0) {
        FUZZ_CHECK(eltorito_probe(data, size));
        FUZZ_CHECK(entry.sector_count > 0 && entry.load_segment > 0);
        FUZZ_CHECK(entry.image_lba * 2048ull + entry.sector_count * 512ull <= size);
        FUZZ_CHECK(entry.load_segment * 16ull + entry.sector_count * 512ull <= LAYOUT_EBDA_BASE);
    }
    return 0;
}
