"""Draw a digit with Chromium, as a user would, and print what came of it. Run by Python of .tox/clients.

Arguments: where the page is (lab, classic or file), its address, and the paths of Chromium and its driver.
"""

import json
import sys
from itertools import pairwise

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

WHERE, ADDRESS, CHROMIUM, DRIVER = sys.argv[1:]
SECONDS = 90
# The text of a cell's output, and the cells to click on.
OUTPUT = {"lab": ".jp-OutputArea-output pre", "classic": ".output_stdout pre"}
CELL = {"lab": ".jp-CodeCell .cm-content", "classic": ".code_cell .CodeMirror"}
# What each says once the notebook has its kernel; before, JupyterLab asks which kernel it is to be.
IDLE = {"lab": "| Idle", "classic": "Python 3"}
SEVEN = [(-60, -80), (60, -80), (0, 90)]  # corners of its two strokes, from the middle of the picture


def begin():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1200,1000"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))


def wait(browser, found):
    return WebDriverWait(browser, SECONDS).until(lambda _: found())


def all_of(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def status(browser):
    return browser.find_element(By.CSS_SELECTOR, ".digit-page [role=status]").text


def begun(browser):
    """Whether the notebook has its kernel. What JupyterLab has to say first is read, as a user would."""
    for button in all_of(browser, ".jp-Dialog button.jp-mod-accept"):
        button.click()  # a theme that takes more than 1.5 s to load (apputils, thememanager.ts) on a busy machine
    return IDLE[WHERE] in browser.find_element(By.TAG_NAME, "body").get_attribute("textContent")


def run_first_cell(browser):
    wait(browser, lambda: begun(browser))
    # JupyterLab has cells in the document before it shows them.
    WebDriverWait(browser, SECONDS).until(element_to_be_clickable((By.CSS_SELECTOR, CELL[WHERE]))).click()
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()


def draw(browser):
    canvas = wait(browser, lambda: (all_of(browser, ".digit-page[data-begun] canvas") or [None])[0])
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    pen = ActionChains(browser, duration=50).move_to_element_with_offset(canvas, *SEVEN[0]).click_and_hold()
    for (x, y), (further_x, further_y) in pairwise(SEVEN):
        pen = pen.move_by_offset(further_x - x, further_y - y)
    pen.release().perform()
    wait(browser, lambda: status(browser) not in ("Draw a digit.", "Sending ..."))


def main():
    browser = begin()
    try:
        browser.get(ADDRESS)
        told = {}
        if WHERE != "file":
            run_first_cell(browser)
        draw(browser)
        told["status"] = status(browser)
        told["text"] = browser.find_element(By.CSS_SELECTOR, ".digit-page textarea").get_attribute("value")
        if WHERE != "file":
            # The second cell is the current one by now, and prints what is in the kernel.
            ActionChains(browser).send_keys(Keys.ESCAPE).perform()
            all_of(browser, CELL[WHERE])[1].click()
            ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
            told["kernel"] = json.loads(wait(browser, lambda: (all_of(browser, OUTPUT[WHERE]) or [None])[0]).text)
        browser.find_element(By.CSS_SELECTOR, ".digit-page button").click()
        told["cleared"] = status(browser)
        print(json.dumps(told))
    except Exception:
        print(browser.page_source[-3000:], file=sys.stderr)
        raise
    finally:
        browser.quit()


main()
