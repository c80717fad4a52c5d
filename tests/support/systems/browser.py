"""A real Chromium, and what a person clicks on MLflow's own pages to promote a version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 30
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1200",
)
SWITCH = "//button[@role='switch'][@aria-label='New model registry UI']"
STAGE = "//*[contains(@class, 'mlflow-stage-transition-dropdown')]"
ALIASES = "//*[@data-testid='descriptions-item'][contains(., 'Aliases')]"
DIALOG = "//*[@role='dialog']"


class RegistryPages:
    """MLflow's pages of one model version (as of 3.17), used with mouse and keyboard only."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self._driver = driver
        self._url = url

    def open(self, model: str, version: int) -> None:
        self._driver.get(f"{self._url}/#/models/{model}/versions/{version}")
        self._see(SWITCH)

    def leave_new_registry_view(self) -> None:
        self._click(SWITCH)
        self._click(f"{DIALOG}//button[contains(., 'Disable')]")
        self._see(f"{SWITCH}[@aria-checked='false']")

    def transition(self, stage: str) -> None:
        """Move the open version to a stage, in the old view."""
        self._click(STAGE)
        self._click(f"//*[@role='menuitem'][contains(., 'Transition to')][contains(., '{stage}')]")
        self._click(f"{DIALOG}[contains(., 'Stage transition')]//button[normalize-space(.)='OK']")
        self._see(f"{STAGE}[contains(., '{stage}')]")

    def add_alias(self, alias: str) -> None:
        """Give the open version an alias, in the new view."""
        self._click(f"{ALIASES}//button")
        self._click(f"{DIALOG}//*[contains(@class, 'select-selector')]")
        self._see(f"{DIALOG}//input[@role='combobox']").send_keys(alias, Keys.ENTER)
        self._click(f"{DIALOG}//button[contains(., 'Save aliases')][not(@disabled)]")
        self._see(f"{ALIASES}[contains(., '{alias}')]")

    def _see(self, xpath: str) -> WebElement:
        def visible(driver: Chrome) -> WebElement | None:
            found = driver.find_elements(By.XPATH, xpath)
            return next((each for each in found if each.size["height"] and _shown(each)), None)

        waiting = WebDriverWait(
            self._driver, SECONDS, 0.05, ignored_exceptions=[StaleElementReferenceException]
        )
        return waiting.until(visible, f"not to be seen: {xpath}")

    def _click(self, xpath: str) -> None:
        """Click once nothing covers or replaces it any more (dialogs fade in and out)."""

        def clicked(_: Chrome) -> bool:
            self._see(xpath).click()
            return True

        waiting = WebDriverWait(
            self._driver, SECONDS, 0.05, ignored_exceptions=[WebDriverException]
        )
        waiting.until(clicked, f"not to be clicked: {xpath}")


def _shown(element: WebElement) -> bool:
    # An input of a select box is drawn with opacity 0 until it has text: it can be typed into.
    return element.is_displayed() or element.get_attribute("role") == "combobox"


@contextmanager
def registry_pages(url: str, folder: Path) -> Iterator[RegistryPages]:
    """MLflow's pages in a Chromium."""
    with chromium(folder) as driver:
        yield RegistryPages(driver, url)


@contextmanager
def chromium(folder: Path) -> Iterator[Chrome]:
    """A Chromium with a profile of its own; a failure leaves a screenshot in the folder.

    Without Chromium the test is skipped, or fails where CI=true.
    """
    browser, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver_path:
        missing = "no chromium or chromedriver; apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    options = ChromeOptions()
    options.binary_location = browser
    for option in (*OPTIONS, f"--user-data-dir={folder / 'chromium'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(driver_path, log_output=str(folder / "chromedriver.log"))
    driver = Chrome(options=options, service=service)
    try:
        yield driver
    except BaseException as error:
        picture = folder / "failure.png"
        driver.save_screenshot(str(picture))
        error.add_note(f"screenshot: {picture}")
        raise
    finally:
        driver.quit()
