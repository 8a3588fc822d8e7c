/* Any bytes as a file to start: one kind, or one line of refusal; never both. */
#include "fuzz_loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_error error = {.text = ""};
    enum image_kind kind = IMAGE_FLAT;
    struct image image;
    int result;

    if (size == 0)
        return 0; /* image_open refuses empty files */
    image_from_bytes(&image, "file", data, size);
    result = image_detect(&image, &kind, &error);
    fuzz_check_text(&error, result);
    FUZZ_CHECK(result || kind != IMAGE_FLAT || size <= IMAGE_FLAT_MAX_BYTES);
    return 0;
}
