"""Steps that several browser tests share."""


def open_tab(page, name):
    """Open a tab from its bar or, where the window is too narrow for it, from the menu beside the bar."""
    tab = page.get_by_role("tab", name=name, exact=True).filter(visible=True).first
    page.wait_for_function("document.querySelector('.tab-wrapper [role=tab][aria-selected=true]')")
    menu = page.get_by_role("button", name="More tabs")
    page.wait_for_timeout(300)  # the bar measures itself again when fonts and contents have come
    if menu.is_visible() and page.locator(".overflow-dropdown button", has_text=name).count():
        menu.click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.click()
        page.wait_for_function("tab => tab.getAttribute('aria-selected') === 'true'", arg=tab.element_handle())
    page.wait_for_function(
        "() => [...document.querySelectorAll('.html-container')].filter((one) => one.offsetParent).length > 1"
    )
