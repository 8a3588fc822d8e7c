/* Landlock by its system calls: the C library has no functions for them. */
#include "vm/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights of the first version, and those that later ones brought (headers may be older). */
#define RIGHTS_1       (BIT(13) - 1)
#define RIGHT_REFER    BIT(13) /* version 2: to another folder */
#define RIGHT_TRUNCATE BIT(14) /* version 3 */

#define FOLDER_REMOVES (LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define FILE_WRITES    (LANDLOCK_ACCESS_FS_WRITE_FILE)
#define FOLDER_REPLACES                                                                            \
    (FOLDER_REMOVES | FILE_WRITES | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_MAKE_REG)

int landlock_make(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attr = {.handled_access_fs = RIGHTS_1};

    if (version < 1)
        return -1;
    if (version >= 2)
        attr.handled_access_fs |= RIGHT_REFER;
    if (version >= 3)
        attr.handled_access_fs |= RIGHT_TRUNCATE;
    return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

/* The path itself where it is no folder and no regular file (a pipe, a terminal); else its folder.
 */
static int open_place(const char *path, bool *is_folder)
{
    struct stat file;
    char *copy;
    int fd;

    *is_folder = stat(path, &file) != 0 || S_ISREG(file.st_mode) || S_ISSOCK(file.st_mode);
    if (!*is_folder)
        return open(path, O_PATH | O_CLOEXEC);
    copy = strdup(path);
    fd = copy ? open(dirname(copy), O_PATH | O_CLOEXEC) : -1;
    free(copy);
    return fd;
}

void landlock_allow(int rules, const char *path, enum landlock_use use)
{
    struct landlock_path_beneath_attr rule = {0};
    bool is_folder;

    rule.parent_fd = open_place(path, &is_folder);
    if (rule.parent_fd < 0)
        return;
    rule.allowed_access = !is_folder                ? FILE_WRITES
                          : use == LANDLOCK_REMOVES ? FOLDER_REMOVES
                                                    : FOLDER_REPLACES;
    (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

int landlock_enter(int rules)
{
    return syscall(SYS_landlock_restrict_self, rules, 0) == 0 ? 0 : -errno;
}
